. tests/docs/tiny.inc
small_training
tiny_model DIR tests/text/data/bpe/smollm2
rm -f DIR/manifest.json
printf '%s' '{% for m in messages %}<|im_start|>{{ m.role + "\n" + m.content }}<|im_end|>{% endfor %}' > DIR/chat_template.jinja
printf '{"prompt": "Who wrote Emma?"}\n{"prompt": "And Persuasion?", "id": "b"}\n' > questions.jsonl

#!/usr/bin/env python3
"""Writes data/chat_templates.json: chat templates and what Jinja makes of them.

usage: tests/text/make_chat_cases.py

Made with jinja2 3.1.6, set up as Hugging Face transformers do. The templates are written for this
test in the manner of the families ChatML and Llama-3; `pieces` go through what these use of the language.
"""

import json
import pathlib

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

CHATML = """{% for message in messages %}
    {%- if loop.first and messages[0]['role'] != 'system' %}
        {{- '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

CHATML_TOOLS = """{%- set ns = namespace(users=0, last='') %}
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}{{- tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if message.role == "user" and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.users = ns.users + 1 %}
        {%- set ns.last = index ~ '' %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}{{- call.arguments | tojson }}{%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
{#- how many users there were #}
{{- ns.users }}{{ ns.last -}}
"""

LLAMA3 = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system's words come out of the list. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at once!") }}
        {%- endif %}
        {%- for name, value in message.tool_calls[0].arguments | items %}{{- name + '="' + value + '"' }}{%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

STRICT = """{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{{ m.role }}: {{ m.content }}{{ eos_token }}
{% endfor %}"""

PIECES = [
    "a {%- if true %} b {% endif -%} c",
    "  {% if true %}\n  x\n  {% endif %}\ny\n",
    "x {{- ' y ' -}} z\n\n",
    "{# note #}\nz{# more -#}   w",
    "{{ 1 + 2 * 3 - 4 // 3 }} {{ -7 % 3 }} {{ -7 // 2 }} {{ 7 - -2 }}",
    "{{ 'a' ~ 1 ~ true ~ none }} {{ not true or 1 == 1 and 2 > 1 }}",
    "{{ 'abc'[1] }}{{ 'abc'[-1] }}{{ 'abcdef'[1:3] }}{{ 'abc'[::-1] }}{{ [1,2,3][1:] | length }}",
    "{{ ('a', 'b') | join('-') }} {{ ['x', 'y'] | first }}{{ ['x', 'y'] | last }} {{ 'a-b-c'.split('-') | join('+') }}",
    "{{ nothing | default('d') }}{{ '' | default('e', true) }}{{ '' | default('f') }} {{ nothing is defined }}{{ nothing }}",
    "{{ 'a' if 1 > 2 else 'b' }}{{ 'c' if 0 }}{{ 'x' if nothing is undefined }}",
    "{% for k, v in {'p': 1, 'q': 'two'}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'r': 1} %}{{ k }}{% endfor %}",
    "{% for x in [1,2,3,4] if x is even %}{{ loop.index }}:{{ x }}/{{ loop.length }}{{ ',' if not loop.last }}{% else %}none{% endfor %}{% for x in [] %}a{% else %}empty{% endfor %}",
    "{% set x = 1 %}{% for y in [1] %}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 3 %}{% endif %}{{ x }}",
    "{{ '\\t\\'q\\' \\\\ \\n' }}{{ \"it's\" }}{{ 'two ' 'parts' }}",
    "{{ 'x' in 'xyz' }}{{ 'a' not in ['a'] }}{{ 'k' in {'k': 1} }}{{ 1 in [1, 2] }}",
    "{{ '  pad '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ ' a '.rstrip() }}|{{ 'aXbX'.replace('X', '') }}|{{ 'q' | upper }}",
    "{{ {'a': {'b': 'deep'}}.a.b }}{{ {'a': 1}.get('z', 'other') }}{{ {'a': 1}.get('z') }}{{ {'a': 1}['z'] is defined }}",
    "{% if nothing %}1{% elif 0 %}2{% elif 'x' %}3{% else %}4{% endif %}",
    "{% generation %}kept{% endgeneration %}|{{ 5 is odd }}{{ {} is mapping }}{{ 'a' is iterable }}{{ 1 is string }}{{ none is none }}",
    "text with } and { and %} alone, {{ '{{ }}' }}",
]

SINGLE = [{"role": "user", "content": "Hi"}]
LONG = [
    {"role": "system", "content": "  You answer.\n"},
    {"role": "user", "content": " What is \u00bd? \n"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nA half. "},
    {"role": "user", "content": "<tool>no</tool>"},
    {"role": "assistant", "content": ""},
    {"role": "user", "content": "{{ bos_token }} <|im_end|>"},
]


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def raise_exception(message):
        raise TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: "05 Jan 2030" if form == "%d %b %Y" else "?"
    cases = []
    for template in [CHATML, CHATML_TOOLS, LLAMA3, STRICT] + PIECES:
        # Jinja itself knows the tag of transformers' extension by no name.
        source = template.replace("{% generation %}", "{% if true %}")
        source = source.replace("{% endgeneration %}", "{% endif %}")
        for messages in (SINGLE, LONG) if template not in PIECES else (SINGLE,):
            for begins in (False, True) if template not in PIECES else (True,):
                case = {"template": template, "messages": messages, "answer_begins": begins}
                try:
                    case["text"] = environment.from_string(source).render(
                        messages=messages, tools=None, documents=None, add_generation_prompt=begins,
                        bos_token="<s>", eos_token="</s>")
                except TemplateError as error:
                    case["refused"] = str(error)
                cases.append(case)
    target = pathlib.Path(__file__).parent / "data/chat_templates.json"
    target.write_text(json.dumps(cases, indent=1) + "\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()

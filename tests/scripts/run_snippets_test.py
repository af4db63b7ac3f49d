"""scripts/run_snippets.py runs what a page shows, in order, and names what fails."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts/run_snippets.py"


class Snippets(unittest.TestCase):
    def run_page(self, text):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder, "page.md")
            page.write_text(text)
            (pathlib.Path(folder) / "build/bin").mkdir(parents=True)
            return subprocess.run([sys.executable, str(SCRIPT), str(page), "--build", folder + "/build"],
                                  text=True, capture_output=True)

    def test_blocks_share_a_folder_and_python_blocks_an_interpreter(self):
        done = self.run_page("```sh\necho 7 > file\n```\n```python\nx = int(open('file').read())\n```\ntext\n"
                             "```python\nassert x == 7\n```\n```json\nnothing to run\n```\n")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout.count(" ok "), 3)

    def test_a_failing_block_is_named_with_its_output(self):
        done = self.run_page("```bash\necho first\nfalse\necho second\n```\n\n```python\n1 / 0\n```\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("page.md:1:", done.stdout)
        self.assertIn("first\n", done.stdout)
        self.assertNotIn("\nsecond\n", done.stdout.split("---")[1])
        self.assertIn("ZeroDivisionError", done.stdout)

    def test_a_block_is_left_out_for_a_reason_alone(self):
        done = self.run_page("<!-- not run: it needs a GPU -->\n```sh\nfalse\n```\n")
        self.assertEqual(done.returncode, 0)
        self.assertIn("it needs a GPU", done.stdout)
        self.assertNotEqual(self.run_page("<!-- not run: -->\n```sh\nfalse\n```\n").returncode, 0)
        self.assertEqual(self.run_page("<!-- not run: x -->\ntext\n").returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

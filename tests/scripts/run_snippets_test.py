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
        done = self.run_page("Then:\n\n    fcc-train --help\n")
        self.assertEqual(done.returncode, 2)
        self.assertIn("page.md:3: commands must stand in a block", done.stderr)

    def test_a_page_whose_needs_are_not_there_says_so_and_counts_as_skipped(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name in ("scripts", "tests/docs", "build/bin"):
                (root / name).mkdir(parents=True)
            script = root / "scripts/run_snippets.py"
            script.write_text(SCRIPT.read_text())
            (root / "tests/docs/page.sh").write_text("echo something; echo 'no such card here'; exit 77\n")
            (root / "page.md").write_text("```sh\nfalse\n```\n")
            done = subprocess.run([sys.executable, str(script), str(root / "page.md"), "--build", str(root / "build")],
                                  text=True, capture_output=True)
        self.assertEqual(done.returncode, 77, done.stderr)
        self.assertIn("page.sh: no such card here", done.stdout)

    def test_python_blocks_find_the_package_of_the_build(self):
        with tempfile.TemporaryDirectory() as folder:
            package = pathlib.Path(folder, "build/python/fcc")
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("here = 5\n")
            page = pathlib.Path(folder, "other.md")
            page.write_text("```python\nimport fcc\nassert fcc.here == 5\n```\n")
            (package.parents[1] / "bin").mkdir()
            done = subprocess.run([sys.executable, str(SCRIPT), str(page), "--build", folder + "/build"],
                                  text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

/** docs/failures.md, which operators read, is the table that the matrix checks. `--write` makes it anew. */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { failuresPage } from "./cases.js";

const PAGE = fileURLToPath(new URL("../../../docs/failures.md", import.meta.url));

if (process.argv.includes("--write")) await writeFile(PAGE, failuresPage());

t.test("docs/failures.md is what the matrix checks: node dist/test/failure/page.test.js --write", async (t) => {
	t.equal(await readFile(PAGE, "utf8"), failuresPage());
});

/** What it takes to tell of a request in part: its documents are read once, and in the reader's time. */
import t from "tap";
import { parseResources } from "../../src/resources/parse.js";
import { RequestDocuments } from "../../src/state/approvals/requestDocuments.js";
import { file, METRIC } from "./employment.js";

t.test("documents of the requests that were looked at last are not read again", async (t) => {
	let read = 0;
	const text = (name: string) => [METRIC, "# nothing\n", METRIC.replace("accuracy", name)].join("---\n");
	const bytes = Buffer.byteLength(text("a"));
	const documents = new RequestDocuments(2 * bytes, (files) => {
		read++;
		return parseResources(files);
	});
	const keys = (name: string) => documents.of(name, file(text(name))).map(({ key }) => key);
	for (let n = 0; n < 10; n++) t.same(keys("a"), ["Metric accuracy", "Metric a"]);
	t.equal(read, 2, "each document once");
	t.same(keys("b"), ["Metric accuracy", "Metric b"]);
	keys("a");
	t.equal(read, 4);
	keys("c");
	keys("a");
	t.equal(read, 6, "room is made by the one that nobody has asked for for the longest time");
	keys("b");
	t.equal(read, 8);
	const large = documents.of("large", file(`${text("a")}${"#".repeat(2 * bytes)}`));
	t.match(large, [{ text: METRIC, resource: { kind: "Metric" } }, { key: "Metric a" }]);
	keys("b");
	t.equal(read, 12, "what is larger than all of the room is not kept");
});

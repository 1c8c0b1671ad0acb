/** What files would give back that a state has no more, and who is known to have taken it away. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { LastDeclared } from "../../src/cli/stack/lastDeclared.js";
import { newlyAllowed, putBack } from "../../src/cli/stack/loosening.js";
import { resourcesOf } from "../../src/resources/kinds.js";
import { loadResources } from "../../src/resources/parse.js";
import type { ResourceSet } from "../../src/resources/resource.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../state/guarded.js";
import { binding } from "../state/operatorBinding.js";
import { temporaryDirectory } from "./command.js";

function setOf(...texts: readonly string[]): ResourceSet {
	const { resources, problems } = loadResources([{ name: "w.yaml", text: texts.join("---\n") }]);
	if (resources === null) throw new Error(JSON.stringify(problems));
	return resources;
}

const service = serviceText("employment");
const policy = policyText("callers", "employment");
const all = [RULES_GATEWAY, service, policy];
const nobody = () => false;
const anybody = () => true;

t.test("what lets somebody in is named; what lets in fewer, and what is not of the rules, is not", (t) => {
	const state = setOf(...all);
	const allowed = (...texts: readonly string[]) => newlyAllowed({ state, given: setOf(...texts) });
	t.same(allowed(...all), []);
	t.same(allowed(...all, metricText("accuracy")), []);
	t.same(allowed(...all, policyText("more", "employment")), ["allow added: more, of Service employment"]);
	const elsewhere = policy.replace('"employment"', '"other"');
	const open = serviceText("employment", "default", "  access: open\n");
	t.same(allowed(RULES_GATEWAY, open, serviceText("other"), elsewhere), ["anyone, of Service employment"]);
	const both = setOf(...all, policyText("more", "employment"));
	t.same(newlyAllowed({ state: both, given: setOf(...all) }), [], "files take nothing away");
	t.end();
});

t.test("of what others have not changed nothing is put back: it is the files' own", (t) => {
	const eve = binding("eve", "admin", ["eve"], "[default]");
	const given = setOf(...all, eve);
	t.same(putBack({ state: setOf(...all), given }, nobody), []);
	t.match(putBack({ state: setOf(...all), given }, anybody), ["RoleBinding eve as the files have it"]);
	t.match(
		putBack({ state: setOf(RULES_GATEWAY), given }, (key) => key === "Service employment"),
		["Service employment: new"],
		"a Service that was taken away",
	);
	t.end();
});

t.test("what was changed since, by whom it is not", async (t) => {
	const path = join(await temporaryDirectory(t), "last");
	const last = new LastDeclared(path);
	const of = (...texts: readonly string[]) => resourcesOf(setOf(...texts));
	t.equal(await last.changedSince(of(...all)), null, "nobody knows");
	await last.keep(of(...all, binding("eve", "admin", ["eve"], "[default]")));
	const wider = policy.replaceAll("principals:", "methods: [GET]\n  principals:");
	t.not(wider, policy);
	const words = await last.changedSince(of(RULES_GATEWAY, service, wider, metricText("accuracy")));
	t.same(
		[...(words ?? [])],
		[
			["AccessPolicy callers", "AccessPolicy callers was changed"],
			["RoleBinding eve", "RoleBinding eve was deleted"],
		],
		"a Metric lets in nobody",
	);
	await writeFile(path, "{");
	t.equal(await last.changedSince(of(...all)), null, "what cannot be read is not believed");
});

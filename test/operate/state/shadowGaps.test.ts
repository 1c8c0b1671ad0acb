/** The cost of listing what shadow policies cannot try, for each reader and each change. */
import t from "tap";
import { resourcesOf } from "../../../src/declare/resources/kinds.js";
import { visibleShadowGaps } from "../../../src/operate/state/shadowGaps.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";

t.test("shadow gaps check each stored resource once, and none for an empty change", async (t) => {
	const shadow = { mode: "shadow", condition: "request.path == '/x'" } as const;
	const names = Array.from({ length: 20 }, (_, at) => `s${at}`);
	const resources = resourceSet({
		gateways: [gateway({})],
		services: names.map((name) => service(name, [variant("v1", 1)], { access: null })),
		accessPolicies: [
			accessPolicy("all", "allow", ["*"], { principals: ["anyone"] }),
			...names.map((name) => accessPolicy(`no-${name}`, "deny", ["*"], { principals: ["anyone"], ...shadow })),
		],
	});
	const state = { revision: 1, resources, status: { experiments: {}, services: {} } };
	let asked = 0;
	const mayRead = () => {
		asked++;
		return true;
	};
	const gaps = visibleShadowGaps(state, mayRead, null);
	const named = gaps.reduce((sum, { untried, tried }) => sum + 1 + untried.length + tried.length, 0);
	t.ok(named > 400, `${named} names are listed`);
	const stored = resourcesOf(resources).length;
	t.ok(asked <= 2 * named + stored, `${asked} questions for ${named} names and ${stored} resources`);
	asked = 0;
	t.same(visibleShadowGaps(state, mayRead, [{ kind: "AccessPolicy", name: "no-s0", change: "unchanged" }]), []);
	t.equal(asked, 0);
	t.equal(visibleShadowGaps(state, mayRead, [{ kind: "Service", name: "s3", change: "configured" }]).length, 1);
});

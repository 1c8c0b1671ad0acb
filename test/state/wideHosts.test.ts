/** A wildcard over a single label takes hosts from everybody: an admin of all namespaces gives it, and what stands stays. */
import t from "tap";
import { file } from "./employment.js";
import { serviceText } from "./guarded.js";
import { mutualApi, operator } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const now = { dryRun: false };
const withHosts = (name: string, namespace: string, hosts: string) =>
	serviceText(name, namespace, "  access: open\n").replace(`[${name}.${namespace}.example]`, `[${hosts}]`);

t.test("who may apply in one namespace takes no top-level domain from the others", async (t) => {
	const { owner, as, store } = await mutualApi(t, { admins: [operator("root")] });
	const people = [
		binding("eve", "apply", ["eve"], "[b]"),
		binding("ben", "admin", ["ben"], "[b]"),
		binding("ann", "apply", ["ann"], "[team-a]"),
	];
	await owner.apply(file([...people, withHosts("old", "b", '"*.old"')].join("---\n")), now);
	const [eve, ben, ann, root] = [await as("eve"), await as("ben"), await as("ann"), await as("root")];
	const wide = withHosts("s", "b", '"*.internal", "*.com", "*.org", "*.net", s.example');
	for (const who of [eve, ben])
		await t.rejects(who.apply(file(wide), now), {
			code: "permission-denied",
			message:
				/admin in all namespaces, which it takes where a declaration takes hosts \*\.internal, \*\.com, \*\.org and 1 more for Service b\/s, and so from all other namespaces what lies under it$/,
			hint: "write hosts below a name of your own, such as *.NAME.internal, or ask an admin in '*' to apply it",
		});
	t.match(await eve.apply(file(withHosts("s", "b", '"*.b.internal", "*.b.com"')), now), { outcome: "applied" });
	t.match(await ann.apply(file(withHosts("s", "team-a", "api.team-a.internal")), now), { outcome: "applied" });
	t.match(
		await eve.apply(file(withHosts("old", "b", '"*.old", more.example')), now),
		{ outcome: "applied" },
		"it stands",
	);
	const handed = [withHosts("old", "b", "more.example"), withHosts("new", "b", '"*.old"')];
	t.match(await eve.apply(file(handed.join("---\n")), now), { outcome: "applied" }, "the namespace's own still");
	t.match(await root.apply(file(withHosts("s", "b", '"*.org"')), now), { outcome: "applied" });
	t.match(await owner.apply(file(withHosts("s", "b", '"*.net"')), now), { outcome: "applied" });
	t.match(
		store.current.resources.services.map(({ spec }) => spec.hosts),
		[["*.old"], ["more.example"], ["*.net"], ["api.team-a.internal"]],
	);
});

/** Trusted proxies of a Gateway must not disable access rules of a stored Service. */
import t from "tap";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { file, temporaryDirectory } from "../employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "../guarded.js";

const TOKENS = '  tokens: [{issuer: "https://id.test", audiences: [weir], jwksFile: /k.json}]\n';
const PROXIES = '  trustedProxies: ["spiffe://weir.test/proxy"]\n';
const WHY =
	"the sidecar decides access: Gateway edge has trusted proxies, and Envoy's rules see the proxy, not the client that it names";

t.test("a Gateway cannot get trusted proxies while its Service has tenant limits or passes unanswered", async (t) => {
	const store = new Store(temporaryDirectory(t));
	t.teardown(() => store.close());
	const apply = (...texts: readonly string[]) => {
		const result = store.apply(file(texts.join("---\n")), { by: "owner", dryRun: false, nowMs: 1_000 });
		return result.outcome === "refused" ? result.problems.map(formatProblem) : [];
	};
	const users = "  groups: [staff]\n";
	t.same(
		apply(
			RULES_GATEWAY + TOKENS,
			serviceText("limited", "default", "  rateLimits: {tenant: {requests: 1}}\n"),
			policyText("p", "limited", "default", users),
			serviceText("passing", "default", "  callout: {onFailure: default-variant}\n"),
			policyText("q", "passing"),
			serviceText("plain"),
			policyText("r", "plain"),
		),
		[],
	);
	const refused = apply(RULES_GATEWAY + TOKENS + PROXIES);
	t.match(refused, [
		`spec.rateLimits.tenant is given, but ${WHY}, and Envoy, which holds the limits, verifies no token then`,
		`spec.callout.onFailure is default-variant, but ${WHY}: without its answer access must be denied`,
	]);
	t.equal(refused.length, 2);
	t.same(apply(serviceText("limited"), serviceText("passing")), []);
	t.same(apply(RULES_GATEWAY + TOKENS + PROXIES), [], "where nothing counts on it, it may have them");
});

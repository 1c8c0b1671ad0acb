/** Plans, and the account of an entry that was sent to ingest. */

import type { IngestOptions } from "../../../../src/observe/events/ingest.js";
import type { WholeAccount } from "../../../../src/observe/events/query/account.js";
import {
	CALLOUT,
	type Entry,
	EXPERIMENT,
	type HttpAnswer,
	PLANS,
	planWith,
	type Rig,
	startRig,
	unitsOf,
} from "../rig.js";

export const T0 = 1_000_000;
export const [control = ""] = unitsOf("control", 1);
export const alice = "spiffe://weir.test/alice";

const RULES = {
	open: false,
	policies: [
		{
			name: "readers",
			action: "allow",
			principals: [alice],
			methods: ["POST"],
			pathPrefixes: ["/v2"],
			variants: [],
			shadow: false,
			more: null,
		},
		{
			name: "no-v2",
			action: "deny",
			principals: [],
			methods: [],
			pathPrefixes: [],
			variants: ["v2"],
			shadow: false,
			more: null,
		},
	],
} as const;

const slotted = { ...EXPERIMENT, slotLoPpm: 0, slotHiPpm: 1 };

const COOKIES = { ...EXPERIMENT, unit: { from: "cookie", cookie: "id", maxAgeMs: 1_000 } } as const;

const KNOWN: Readonly<Record<string, unknown>> = {
	guarded: planWith(EXPERIMENT, { access: RULES }),
	slotted: planWith(slotted),
	bare: planWith(EXPERIMENT, { experiments: [] }),
	verdict: planWith(EXPERIMENT, { access: RULES, callout: { ...CALLOUT, assignment: false } }),
	assigned: planWith(COOKIES, { access: RULES, callout: { ...CALLOUT, verdict: false } }),
	assignedOpen: planWith(COOKIES, { callout: { ...CALLOUT, verdict: false } }),
	anyMethod: planWith(EXPERIMENT, { access: { ...RULES, policies: RULES.policies.slice(1) } }),
};

export async function rigWith(
	t: { teardown(run: () => Promise<void>): unknown },
	over: Partial<IngestOptions> = {},
): Promise<Rig> {
	const rig = await startRig({
		plans: async (version) => (KNOWN[version] as (typeof PLANS)[string] | undefined) ?? PLANS[version] ?? null,
		...over,
	});
	t.teardown(() => rig.close());
	return rig;
}

export const get = (rig: Rig, id: string): Promise<HttpAnswer> => rig.call("GET", `/v1/requests/${id}`, "");

export async function accountOf(rig: Rig, over: Partial<Entry>): Promise<WholeAccount> {
	const requestId = over.requestId ?? "r1";
	await rig.send([{ kind: "end", unit: control, requestId, startMs: T0, cluster: "shop/v1", ...over }]);
	const { status, json } = await get(rig, requestId);
	if (status !== 200) throw new Error(`answered ${status}: ${JSON.stringify(json)}`);
	return json as WholeAccount;
}

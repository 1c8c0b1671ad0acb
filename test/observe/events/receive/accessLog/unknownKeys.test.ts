/** Refused tokens that make control fetch an issuer's keys. */
import t from "tap";
import { ingestClient } from "../../../../../src/observe/events/client.js";
import { type Entry, startRig } from "../../rig.js";

let requests = 0;
const refused = (over: Partial<Entry>): Entry => ({
	...{ kind: "end", unit: null, requestId: `r${++requests}`, startMs: 900_000, status: 401 },
	codeDetails: "jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt}",
	...over,
});

t.test("tokens with a key that Envoy does not have are counted by Gateway", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const counted = async (over: Partial<Entry>): Promise<number> => {
		await rig.send([refused(over)], { node: "edge", log: "weir|edge" });
		return (await ingestClient(rig.httpSocket).unknownKeys()).edge ?? 0;
	};
	t.equal(await counted({}), 1);
	t.equal(await counted({ codeDetails: "jwt_authn_access_denied{Jwt_is_expired}" }), 1);
	t.equal(await counted({}), 2);
});

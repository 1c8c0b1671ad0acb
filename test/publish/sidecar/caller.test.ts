/** The identity that the sidecar accepts from Envoy, in both protocols: a workload's SPIFFE id or none. */
import { create, toBinary } from "@bufbuild/protobuf";
import t from "tap";
import { CheckRequestSchema } from "../../../src/gen/envoy/service/auth/v3/external_auth_pb.js";
import { CALLERS_CACHED_MAX, callerOf } from "../../../src/publish/sidecar/caller.js";
import { CheckRequestReader } from "../../../src/publish/sidecar/checkRequest.js";
import { PRINCIPAL_ATTRIBUTE, ProcessingRequestReader } from "../../../src/publish/sidecar/processingRequest.js";

const GOOD = "spiffe://weir.test/ns/a/sa/web";
const BAD = [
	"",
	"web.weir.test",
	"O=odd,CN=web",
	"https://weir.test/web",
	"SPIFFE://weir.test/web",
	"spiffe://weir.test",
	"spiffe://weir.test/",
	"spiffe://weir.test/a/../b",
	"spiffe://weir.test/%2e%2e/b",
	"spiffe://weir.test/a?",
	"spiffe://weir.test/a#x",
	"spiffe://weir.test//a",
	"spiffe://weir.test/a/",
	"spiffe://u@weir.test/a",
	"spiffe://weir.test:99/a",
	"spiffe://WEIR.TEST/a",
	`spiffe://weir.test/${"a".repeat(2_300)}`,
];

const byCheck = (principal: string): string | null =>
	new CheckRequestReader().read(
		Buffer.from(
			toBinary(
				CheckRequestSchema,
				create(CheckRequestSchema, { attributes: { source: { principal }, request: { http: { method: "GET" } } } }),
			),
		),
	).principal;

const CONTEXT = { plan: null, service: null, gateway: null, assigned: null, exposeArm: false };

function byProcess(principal: string): string | null {
	const part = (field: number, ...bytes: readonly Uint8Array[]) => {
		const all = Buffer.concat(bytes);
		const length = all.length < 128 ? [all.length] : [(all.length & 127) | 128, all.length >> 7];
		return Buffer.concat([Buffer.from([(field << 3) | 2, ...length]), all]);
	};
	const text = (field: number, value: string) => part(field, Buffer.from(value));
	const struct = part(1, text(1, PRINCIPAL_ATTRIBUTE), part(2, text(3, principal)));
	const attributes = part(9, text(1, "envoy.filters.http.ext_proc"), part(2, struct));
	const reader = new ProcessingRequestReader();
	reader.read(Buffer.concat([part(2), attributes]));
	return reader.question(CONTEXT).principal;
}

t.test("only a workload's SPIFFE id is accepted as the caller", async (t) => {
	// Twice: first judged, then cached.
	for (const round of [1, 2]) {
		for (const [form, read] of Object.entries({ byCheck, byProcess })) {
			t.equal(read(GOOD), GOOD, `${form} ${round}`);
			for (const id of BAD) t.equal(read(id), null, `${form} ${round} ${id.slice(0, 60)}`);
		}
	}
});

t.test("callers beyond the size of the cache are judged as well", async (t) => {
	for (let index = 0; index <= 2 * CALLERS_CACHED_MAX; index++) {
		const id = `spiffe://weir.test/w/${index}`;
		if (callerOf(id) !== id || callerOf(`${id}/`) !== null) t.fail(id);
	}
	t.equal(callerOf(GOOD), GOOD);
});

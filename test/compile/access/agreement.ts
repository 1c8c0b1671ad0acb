/** Compares compileAccess() and compileShadow() with a naive implementation, on random policies and requests. */
import { randomInt } from "node:crypto";
import fc from "fast-check";
import { accessTable, compileAccess, compileShadow } from "../../../src/compile/access/rules/policy.js";
import { qualifiedName } from "../../../src/declare/resources/resource.js";
import { guarded, policies, request } from "./arbitrary.js";
import { type ReferenceVerdict, referenceVerdict } from "./reference.js";

/** Requests that each random set of policies is asked: to make one costs more than to ask it. */
export const PAIRS_PER_SET = 20;

/** The paths of arbitrary.ts that servers could read in different ways. */
const AMBIGUOUS = new Set(["/admin;x", "/a%2fb", "/v2/models//infer"]);

/**
 * @param seed of the generator; WEIR_SEED repeats a failure
 * @throws Error that names seed and the smallest case, where one differs
 */
export function agrees(sets: number, seed = Number(process.env.WEIR_SEED ?? randomInt(2 ** 31))) {
	const reasons: Record<string, number> = {};
	let pairs = 0;
	const asked = fc.array(request, { minLength: PAIRS_PER_SET, maxLength: PAIRS_PER_SET });
	fc.assert(
		fc.property(guarded, policies, asked, (service, declared, requests) => {
			const table = accessTable(service, declared);
			// As the sidecar has it: the table travels as JSON.
			const travelled = JSON.parse(JSON.stringify(table));
			const name = qualifiedName(service.metadata);
			const enforced = compileAccess(travelled, name);
			const shadow = compileShadow(travelled, name);
			for (const one of requests) {
				const ambiguous = AMBIGUOUS.has(one.path);
				const want = referenceVerdict(service, declared, one, { ambiguous, shadows: false });
				expectSame(enforced(one), want, one);
				if (shadow !== null) {
					expectSame(shadow(one), referenceVerdict(service, declared, one, { ambiguous, shadows: true }), one);
				}
				reasons[want.reason] = (reasons[want.reason] ?? 0) + 1;
				pairs++;
			}
		}),
		{ seed, numRuns: sets },
	);
	return { pairs, reasons, seed };
}

function expectSame(got: ReferenceVerdict, want: ReferenceVerdict, about: unknown): void {
	const same = got.allowed === want.allowed && got.reason === want.reason && got.policy === want.policy;
	if (!same) {
		throw new Error(`got ${JSON.stringify(got)}, want ${JSON.stringify(want)} for ${JSON.stringify(about)}`);
	}
}

/**
 * Detects units whose arm has changed, for example after a ramp, a takeover or the closing of an arm. A unit's first
 * request is no change. The cache of recent units is refilled from the store's newest rows on a restart.
 */
import { createHash } from "node:crypto";
import { ARMS_KNOWN_MAX } from "../../../../limits/index.js";
import type { Lane } from "../../store/store.js";
import { LRUCache } from "../lru.js";
import { NO_ARM } from "../requests/rowAppend.js";

/** Newest requests and access records that a new process reads to restore the last arms: a few seconds. */
const ARMS_RECALLED_ROWS = 2_000_000;

/** An ended request's assignment. */
export interface Assigned {
	readonly experiment: string;
	/** Pseudonym. */
	readonly unit: bigint;
	/** null = the default Variant, no arm. */
	readonly arm: string | null;
	/** Version of the plan that assigned it. */
	readonly plan: string;
	/** When the request began. */
	readonly startUs: number;
}

interface Known {
	readonly arm: string | null;
	/** null = not stored. */
	readonly plan: string | null;
	/** Start of the first request seen under that plan. */
	readonly sinceUs: number;
}

const experimentHashes = new Map<string, bigint>();

/** A unit may be in several Experiments. Both hashes have 128 bits, so keys collide as rarely as pseudonyms. */
export function keyOf(experiment: string, unit: bigint): bigint {
	let hash = experimentHashes.get(experiment);
	if (hash === undefined) {
		hash = createHash("sha256").update(experiment).digest().readBigUInt64BE(0) << 64n;
		experimentHashes.set(experiment, hash);
	}
	return unit ^ hash;
}

export class AssignmentChanges {
	readonly #known: LRUCache<bigint, Known>;

	constructor(max: number = ARMS_KNOWN_MAX) {
		// By its size, it grows with the units. With `max` it would take 20 MB, and 40 ms of each start, before the first one.
		this.#known = new LRUCache({ maxSize: max, sizeCalculation: () => 1 });
	}

	/**
	 * @returns the unit's last known arm if this request shows another one; null = no change. A request that began before
	 * the first one under the last known plan changes nothing.
	 */
	see({ experiment, unit, arm, plan, startUs }: Assigned): { readonly formerArm: string | null } | null {
		const key = keyOf(experiment, unit);
		const known = this.#known.get(key);
		// One plan gives a unit one arm: nearly every request ends here.
		if (known !== undefined && (known.plan === plan || startUs < known.sinceUs)) return null;
		this.#known.set(key, { arm, plan, sinceUs: startUs });
		return known === undefined || known.arm === arm ? null : { formerArm: known.arm };
	}

	/**
	 * Reads the store's newest rows; call it before the first `see`. A recorded change counts even if the crash lost its
	 * request, so that it is not recorded twice.
	 */
	async recall(lane: Lane): Promise<void> {
		await lane.transaction((transaction) =>
			transaction.each(
				`SELECT experiment, unit, arg_max(arm, at_us) AS arm, max(at_us) AS since_us FROM (
					SELECT experiment, unit, assigned AS arm, start_us AS at_us FROM entries
					WHERE rowid >= (SELECT coalesce(max(rowid), 0) FROM entries) - $rows AND assigned IS NOT NULL AND unit IS NOT NULL
					UNION ALL SELECT experiment, unit, coalesce(arm, '${NO_ARM}'), at_ms * 1000 FROM decisions
					WHERE rowid >= (SELECT coalesce(max(rowid), 0) FROM decisions) - $rows AND kind = 'assignment-changed'
						AND unit IS NOT NULL
				) GROUP BY experiment, unit`,
				{ rows: BigInt(ARMS_RECALLED_ROWS) },
				({ experiment, unit, arm, since_us }) => {
					this.#known.set(keyOf(String(experiment), unit as bigint), {
						arm: arm === NO_ARM ? null : String(arm),
						plan: null,
						sinceUs: Number(since_us),
					});
				},
			),
		);
	}
}

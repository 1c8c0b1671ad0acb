/**
 * Since which revision each Service is there, and is what access rules see of it: its DataClass, and whether it is open.
 * One small record for each that is stored, so that a rollback can tell what its older rules were never about. What an
 * earlier Weir stored is known from the first start on only.
 */
import { isDeepStrictEqual } from "node:util";
import { qualifiedName, type Service } from "../../resources/resource.js";
import type { WishPlan } from "../acts/wishes.js";
import type { StateDatabase, StoredResource } from "../store/database.js";
import { keyOf } from "../store/resourceSet.js";

export interface Arrival {
	/** The revision that it came with, under this name. */
	readonly came: number;
	/** The revision that last changed what rules see of it, its coming too. */
	readonly changed: number;
	/** false: it was there before, nobody knows since when. */
	readonly exact: boolean;
}

/** What the rules of a revision were about, as far as that is known. */
export interface Past {
	/** Not there then, or nobody knows. */
	isLater(service: Service): boolean;
	/** Whether it is known when it came. */
	isKnown(service: Service): boolean;
	/** Not there then, or rules saw another DataClass or another access of it. */
	isOther(service: Service): boolean;
}

export class Arrivals {
	readonly #records: StateDatabase["arrivals"];

	constructor({ arrivals }: Pick<StateDatabase, "arrivals">) {
		this.#records = arrivals;
	}

	/** What is stored and has no record: from this revision on it is known. Inside a transaction. */
	complete(stored: readonly StoredResource[], revision: number): void {
		for (const { resource } of stored) {
			if (resource.kind !== "Service" || this.of(resource) !== undefined) continue;
			this.#put(resource, { came: revision, changed: revision, exact: false });
		}
	}

	/** Remembers what a plan brings, changes and takes away; inside the transaction that carries it out. */
	record(plan: Pick<WishPlan, "upserts" | "deletions">, stored: readonly StoredResource[], revision: number): void {
		const before = new Map(stored.map(({ resource }) => [keyOf(resource), resource]));
		for (const { resource } of plan.upserts) {
			if (resource.kind !== "Service") continue;
			const former = before.get(keyOf(resource));
			if (former?.kind === "Service" && isDeepStrictEqual(seenOf(former), seenOf(resource))) continue;
			const known = former === undefined ? undefined : this.of(resource);
			this.#put(resource, { came: known?.came ?? revision, changed: revision, exact: known?.exact ?? true });
		}
		for (const { kind, name } of plan.deletions) this.#records.removeSync([kind, name]);
	}

	of({ kind, metadata }: Service): Arrival | undefined {
		return this.#records.get([kind, qualifiedName(metadata)]);
	}

	/**
	 * What is otherwise than at a revision.
	 * @param wasThere then, for another reason; asked where no record says
	 */
	since(revision: number, wasThere: (service: Service) => boolean): Past {
		const isLater = (service: Service): boolean => {
			const known = this.of(service);
			if (known !== undefined && known.came <= revision) return false;
			return known?.exact === true || !wasThere(service);
		};
		return {
			isLater,
			isKnown: (service) => this.of(service)?.exact === true,
			isOther: (service) => {
				if (isLater(service)) return true;
				const { came, changed } = this.of(service) ?? { came: 0, changed: 0 };
				// Of one that was there before its record, only changes after that are known.
				return changed > revision && changed > came;
			},
		};
	}

	#put({ kind, metadata }: Service, arrival: Arrival): void {
		this.#records.putSync([kind, qualifiedName(metadata)], arrival);
	}
}

const seenOf = ({ spec }: Service): unknown => [spec.access, spec.dataClass];

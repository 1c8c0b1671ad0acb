/**
 * Who waits for something that Experiments share: the namespaces take turns, and in each who waits the longest comes first, so
 * that nobody waits for all that another namespace has declared.
 */
import { namespaceOf } from "../resources/resource.js";

export class NamespaceTurns<Item> {
	/** By qualified name, the longest first; the namespaces in the order of their turns. */
	readonly #waiting = new Map<string, Map<string, Item>>();

	/** Who waits already keeps its turn. */
	add(name: string, item: Item): void {
		const namespace = namespaceOf(name);
		const waiting = this.#waiting.get(namespace);
		if (waiting === undefined) this.#waiting.set(namespace, new Map([[name, item]]));
		else waiting.set(name, item);
	}

	/** They come before the others of their namespaces, in the order in which they wait. */
	hasten(names: ReadonlySet<string>): void {
		if (names.size === 0) return;
		for (const [namespace, waiting] of this.#waiting) {
			const hastened = [...waiting].filter(([name]) => names.has(name));
			// The namespace keeps its own turn.
			if (hastened.length > 0) this.#waiting.set(namespace, new Map([...hastened, ...waiting]));
		}
	}

	delete(name: string): void {
		this.#waiting.get(namespaceOf(name))?.delete(name);
	}

	/** All others wait no more. */
	keepOnly(stays: (name: string) => boolean): void {
		for (const waiting of this.#waiting.values())
			for (const name of waiting.keys()) if (!stays(name)) waiting.delete(name);
	}

	/** Those that something waits of. */
	get namespaces(): readonly string[] {
		return [...this.#waiting].filter(([, { size }]) => size > 0).map(([namespace]) => namespace);
	}

	get names(): readonly string[] {
		return [...this.#waiting.values()].flatMap((waiting) => [...waiting.keys()]);
	}

	/**
	 * Of the namespace whose turn it is; the others come before it again.
	 * @param passes whether a namespace lets the others go first and keeps its turn
	 */
	next(passes: (namespace: string) => boolean = () => false): readonly [string, Item] | null {
		for (const [namespace, waiting] of this.#waiting) {
			const [first] = waiting;
			if (first === undefined) {
				this.#waiting.delete(namespace);
				continue;
			}
			if (passes(namespace)) continue;
			waiting.delete(first[0]);
			this.#waiting.delete(namespace);
			this.#waiting.set(namespace, waiting);
			return first;
		}
		return null;
	}
}

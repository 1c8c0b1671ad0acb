/** Composable checks of parsed JSON. A valid value costs only comparisons; the error's path is built while it propagates. */

export type Check<Value> = (value: unknown) => Value;
export type Fields<Value> = { readonly [Key in keyof Value]-?: Check<Value[Key]> };

/** A failed check. Each enclosing list and object adds its part to the path. */
export class ShapeError extends Error {
	/** E.g. ["Service employment", "Experiment boosted", "arms"]. */
	readonly path: string[];
	/** Set by a list, until the enclosing object adds the list's name. */
	item: { readonly name: string | null; readonly index: number } | null = null;

	constructor(what: string, path: readonly string[] = []) {
		super(what);
		this.path = [...path];
	}

	/** Adds the field to the path. A named item does not need the list's name. */
	static in(error: unknown, field: string): unknown {
		if (!(error instanceof ShapeError)) return error;
		const { item } = error;
		error.item = null;
		error.path.unshift(item === null ? field : (item.name ?? `${field}[${item.index}]`));
		return error;
	}

	static at(error: unknown, item: NonNullable<ShapeError["item"]>): unknown {
		if (error instanceof ShapeError) error.item = item;
		return error;
	}
}

export function fail(what: string, ...path: readonly string[]): never {
	throw new ShapeError(what, path);
}

/** Short and printable, for a log line. */
export const shown = (text: string): string => JSON.stringify(text.slice(0, 64).replace(/[^ -~]/g, "?"));

function kindOf(value: unknown): string {
	if (value === null) return "null";
	if (Array.isArray(value)) return "a list";
	return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

export function members(value: unknown): Readonly<Record<string, unknown>> {
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		fail(`is ${kindOf(value)}, not an object`);
	}
	return value as Readonly<Record<string, unknown>>;
}

/** Exactly these fields. */
export function object<Value extends object>(fields: Fields<Value>): Check<Value> {
	const checks = Object.entries(fields) as [string, Check<unknown>][];
	return (value) => {
		const given = members(value);
		for (const key of Object.keys(given)) {
			if (!Object.hasOwn(fields, key)) fail(`has the unknown field ${shown(key)}`);
		}
		for (const [key, check] of checks) {
			if (!Object.hasOwn(given, key)) fail(`has no field ${key}`);
			try {
				check(given[key]);
			} catch (error) {
				throw ShapeError.in(error, key);
			}
		}
		return value as Value;
	};
}

export function list<Item>(item: Check<Item>): Check<readonly Item[]> {
	return (value) => {
		if (!Array.isArray(value)) fail(`is ${kindOf(value)}, not a list`);
		let index = 0;
		try {
			for (; index < value.length; index++) item(value[index]);
		} catch (error) {
			throw ShapeError.at(error, { name: null, index });
		}
		return value as readonly Item[];
	};
}

/** @param label precedes an item's name in messages, instead of the list's name */
export function namedList<Item extends { readonly name: string }>(
	item: Check<Item>,
	label: string,
): Check<readonly Item[]> {
	return (value) => {
		if (!Array.isArray(value)) fail(`is ${kindOf(value)}, not a list`);
		const names = new Set<string>();
		for (let index = 0; index < value.length; index++) {
			try {
				const { name } = item(value[index]);
				if (names.has(name)) fail("is there twice");
				names.add(name);
			} catch (error) {
				const name: unknown = (value[index] as { readonly name?: unknown } | null)?.name;
				throw ShapeError.at(error, { name: typeof name === "string" ? `${label} ${plain(name)}` : null, index });
			}
		}
		return value as readonly Item[];
	};
}

export const plain = (name: string): string => name.slice(0, 200).replace(/[^ -~]/g, "?");

const CONTROL = /\p{Cc}/u;

export const text: Check<string> = (value) => {
	if (typeof value !== "string") fail(`is ${kindOf(value)}, not a text`);
	if (value === "" || CONTROL.test(value)) fail("is empty or holds a control character");
	return value;
};

/** Any character, as in tokens: the text is compared and never put into a header. */
export const anyText: Check<string> = (value) => {
	if (typeof value !== "string") fail(`is ${kindOf(value)}, not a text`);
	if (value === "") fail("is empty");
	return value;
};

/** For text that is hashed: Envoy hashes UTF-8 bytes, which are the same for ASCII only. */
export const ascii: Check<string> = (value) => {
	if (!/^[ -~]+$/.test(text(value))) fail("holds a character that is not ASCII");
	return value as string;
};

export const flag: Check<boolean> = (value) => {
	if (typeof value !== "boolean") fail(`is ${kindOf(value)}, neither true nor false`);
	return value;
};

export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Check<number> {
	return (value) => {
		if (typeof value !== "number") fail(`is ${kindOf(value)}, not a number`);
		if (!Number.isSafeInteger(value) || value < min || value > max) {
			fail(`is ${value}, not an integer from ${min} to ${max}`);
		}
		return value;
	};
}

export function oneOf<Value extends string>(...values: readonly Value[]): Check<Value> {
	return (value) => {
		if (!values.includes(value as Value)) {
			fail(`is ${typeof value === "string" ? shown(value) : kindOf(value)}, not one of ${values.join(", ")}`);
		}
		return value as Value;
	};
}

export function orNull<Value>(check: Check<Value>): Check<Value | null> {
	return (value) => (value === null ? null : check(value));
}

export const uint64: Check<string> = (value) => {
	if (!/^(0|[1-9]\d{0,19})$/.test(text(value)) || BigInt(value as string) >= 2n ** 64n) {
		fail("is no unsigned 64-bit integer");
	}
	return value as string;
};

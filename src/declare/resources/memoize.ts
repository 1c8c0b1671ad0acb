/** Caches results of pure functions of immutable objects. */

/** Cached for the lifetime of the object. */
export const memoize = <Of extends object, Made>(make: (of: Of) => Made): ((of: Of) => Made) =>
	kept(new WeakMap<Of, { readonly made: Made }>(), make);

/** Cached by name, for the lifetime of the returned function. */
export const memoizeByName = <Made>(make: (name: string) => Made): ((name: string) => Made) =>
	kept(new Map<string, { readonly made: Made }>(), make);

interface Known<Of, Made> {
	get(of: Of): { readonly made: Made } | undefined;
	set(of: Of, made: { readonly made: Made }): unknown;
}

function kept<Of, Made>(known: Known<Of, Made>, make: (of: Of) => Made): (of: Of) => Made {
	return (of) => {
		let one = known.get(of);
		if (one === undefined) {
			one = { made: make(of) };
			known.set(of, one);
		}
		return one.made;
	};
}

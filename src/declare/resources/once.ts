/**
 * What is worked out of a thing when it is first asked for, and kept: of what is replaced and never changed. Pure: the same
 * is answered as without it.
 */

/** As long as the thing. */
export const once = <Of extends object, Made>(make: (of: Of) => Made): ((of: Of) => Made) =>
	kept(new WeakMap<Of, { readonly made: Made }>(), make);

/** Of names, and as long as what it returns. */
export const oncePerName = <Made>(make: (name: string) => Made): ((name: string) => Made) =>
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

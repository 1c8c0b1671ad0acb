/**
 * What is worked out of a thing when it is first asked for, and kept as long as the thing: of what is replaced and never
 * changed. Pure: the same is answered as without it.
 */
export function once<Of extends object, Made>(make: (of: Of) => Made): (of: Of) => Made {
	const known = new WeakMap<Of, { readonly made: Made }>();
	return (of) => {
		let kept = known.get(of);
		if (kept === undefined) {
			kept = { made: make(of) };
			known.set(of, kept);
		}
		return kept.made;
	};
}

/** The same of names, for as long as what it returns. */
export function oncePerName<Made>(make: (name: string) => Made): (name: string) => Made {
	const known = new Map<string, { readonly made: Made }>();
	return (name) => {
		let kept = known.get(name);
		if (kept === undefined) {
			kept = { made: make(name) };
			known.set(name, kept);
		}
		return kept.made;
	};
}

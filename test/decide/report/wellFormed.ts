/** A strict look at markup, as XML demands it: every element closed in order, every attribute quoted and named once. */
export interface Element {
	readonly name: string;
	readonly attributes: Readonly<Record<string, string>>;
	/** Names of the enclosing elements, outermost first. */
	readonly within: readonly string[];
}

const TOKEN =
	/<!DOCTYPE html>|<\/([a-zA-Z0-9-]+)>|<([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[a-zA-Z0-9:-]+="[^"<]*")*)\s*(\/?)>|[^<]+/y;

/** All elements. @throws Error at the first thing that is not well-formed */
export function elementsOf(page: string): readonly Element[] {
	const elements: Element[] = [];
	const open: string[] = [];
	TOKEN.lastIndex = 0;
	while (TOKEN.lastIndex < page.length) {
		const at = TOKEN.lastIndex;
		const match = TOKEN.exec(page);
		if (match === null) throw new Error(`not well-formed: ${page.slice(at, at + 120)}`);
		const [token, closing, opening, attributes = "", empty] = match;
		if (closing !== undefined) {
			const last = open.pop();
			if (last !== closing) throw new Error(`</${closing}> closes <${last}>`);
		} else if (opening !== undefined) {
			const own: Record<string, string> = {};
			for (const [, name = "", value = ""] of attributes.matchAll(/([a-zA-Z0-9:-]+)="([^"]*)"/g)) {
				if (Object.hasOwn(own, name)) throw new Error(`<${opening}> has two ${name}`);
				own[name] = checked(value);
			}
			elements.push({ name: opening, attributes: own, within: [...open] });
			if (empty !== "/") open.push(opening);
		} else if (!token.startsWith("<!")) checked(token);
	}
	if (open.length > 0) throw new Error(`never closed: ${open.join(", ")}`);
	return elements;
}

function checked(text: string): string {
	const bare = /&(?!(?:amp|lt|gt|quot|#39);)/.exec(text);
	if (bare !== null) throw new Error(`a bare & at ${text.slice(bare.index, bare.index + 40)}`);
	return text;
}

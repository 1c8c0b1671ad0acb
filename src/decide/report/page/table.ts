/** Tables that can be scrolled sideways by finger and by key where a window is too narrow for them. */
import { type Content, html, type Markup } from "../markup.js";

export interface Column {
	readonly head: string;
	readonly className?: "n" | "pic" | "name";
}

/** @param caption describes the content; also the name of the region that scrolls */
export function table(caption: string, columns: readonly Column[], rows: readonly (readonly Content[])[]): Markup {
	const classOf = (index: number): string => columns[index]?.className ?? "";
	return html`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${columns.map(({ head, className = "" }) => html`<th scope="col" class="${className}">${head}</th>`)}</tr></thead>
<tbody>
${rows.map(
	(cells) => html`<tr>${cells.map((cell, index) =>
		index === 0
			? html`<th scope="row" class="${classOf(index)}">${cell}</th>`
			: html`<td class="${classOf(index)}">${cell}</td>`,
	)}</tr>
`,
)}</tbody></table></div>`;
}

export function section(id: string, heading: string, content: Content): Markup {
	return html`<section id="${id}" aria-labelledby="${id}-h">
<h2 id="${id}-h">${heading}</h2>
${content}
</section>
`;
}

/** A name as other people gave it, whatever its direction. */
export function named(name: string): Markup {
	return html`<bdi>${name}</bdi>`;
}

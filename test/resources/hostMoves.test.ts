/** Which hosts leave a Service by a change, and which are hidden from who declares it. */
import t from "tap";
import { hostMoves } from "../../src/resources/hostMoves.js";
import type { Service } from "../../src/resources/resource.js";
import { service, variant } from "../fixtures/resources.js";

const of = (namespace: string, ...hosts: readonly string[]): Service =>
	service(`s-${namespace}`, [variant("v1", 1)], { namespace, hosts });

/** `host: from > to`, of Services that were and are. */
const moves = (before: readonly Service[], after: readonly Service[]): readonly string[] => {
	const named = (all: readonly Service[], name: string) => all.find(({ metadata }) => metadata.name === name) ?? null;
	const names = [...new Set([...before, ...after].map(({ metadata }) => metadata.name))];
	const changed = names.map((name) => ({ before: named(before, name), after: named(after, name) }));
	return hostMoves(before, changed).map(
		({ host, from, to, isLeft }) => `${host}: ${from.metadata.name}${isLeft ? "" : ", gone"} > ${to?.metadata.name}`,
	);
};

t.test(
	"a host that another namespace takes has moved where its Service lets it go, and is told nobody where not",
	(t) => {
		const a = of("a", "*.a.example", "a.example");
		const b = of("b", "b.example");
		t.same(moves([a, b], [a, of("b", "b.example", "x.a.example")]), [], "refused, as it lies under a's wildcard");
		t.same(moves([a, b], [of("a", "*.a.example"), of("b", "b.example", "a.example")]), ["a.example: s-a > s-b"]);
		const wild = of("b", "b.example", "*.a.example");
		t.same(moves([a, b], [of("a", "a.example"), wild]), ["*.a.example: s-a > s-b"]);
		t.same(moves([a, b], [wild]), ["*.a.example: s-a, gone > s-b", "a.example: s-a, gone > undefined"]);
		t.end();
	},
);

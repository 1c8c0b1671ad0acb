/** Where Services said last that the endpoints are which they have no more. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import type { Placings } from "../../src/compiler/plan.js";
import { XDS_LAST_WORDS_MAX } from "../../src/limits.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { type LastWords, lastWord, leftSince, placesIn } from "../../src/xds/placings.js";
import { SnapshotMaker } from "../../src/xds/snapshot.js";
import { gateway, resourceSet, service } from "../fixtures/resources.js";

type Said = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

const placed = (said: Said): Placings =>
	new Map(Object.entries(said).map(([name, hosts]) => [name, new Map(Object.entries(hosts))]));

/** @returns what is known after the last of these publications */
function after(...publications: readonly Said[]): LastWords {
	let last: Parameters<typeof leftSince>[0] = null;
	for (const said of publications) {
		const placings = placed(said);
		last = { placings, left: leftSince(last, placings) };
	}
	return last?.left ?? new Map();
}

t.test("a place is what anybody says", async (t) => {
	const places = placesIn(
		placed({ a: { x: ["eu"], y: ["us", ""] }, b: { x: ["us", "eu"] }, c: { x: ["eu"], z: [""] } }),
	);
	t.same(
		[...places],
		[
			["x", ["eu", "us"]],
			["y", ["us", ""]],
			["z", [""]],
		],
	);
});

t.test("a word holds from when its Service has the endpoint no more until it has it again", async (t) => {
	const said = { a: { x: ["us", "eu"], y: ["eu"] }, b: { x: ["ae"] } };
	t.same(lastWord(after(said), "a", "x"), [], "it has it");
	const left = after(said, { a: { y: ["eu"] }, b: { x: ["ae"] } });
	t.same(lastWord(left, "a", "x"), ["us", "eu"]);
	t.same(lastWord(left, "a", "y"), []);
	t.same(lastWord(left, "b", "x"), [], "nobody else's");
	t.same(lastWord(after(said, {}, { b: { x: ["ae"] } }), "a", "x"), ["us", "eu"], "the Service is gone too");
	t.same(lastWord(after(said, {}, { a: { x: ["eu"] } }), "a", "x"), []);
	t.same(lastWord(after(said, {}, { a: { x: ["eu"] } }, {}), "a", "x"), ["eu"], "the last one alone");
	t.same(lastWord(after({}, said), "a", "x"), []);
});

t.test("a bounded number of them is known, longest those that left last", async (t) => {
	const many = Object.fromEntries(Array.from({ length: XDS_LAST_WORDS_MAX }, (_, n) => [`10.0.0.1:${n}`, ["us"]]));
	const known = (...said: readonly Said[]): readonly string[] => [...after(...said).values()].map(({ host }) => host);
	const first = { a: { "first:1": ["us"] } };
	t.same(known(first, { b: many }), ["first:1"]);
	t.same(known(first, { b: many }, {}), Object.keys(many));
	t.same(known(first, { b: many }, {}, first, {}), [...Object.keys(many).slice(1), "first:1"]);
});

t.test("they are of what was published, in whatever spelling, within a DataClass or not", async (t) => {
	const maker = new SnapshotMaker();
	const of = (addresses: readonly string[]) => {
		const endpoints = addresses.map((address) => {
			return { address, port: 1, locality: { region: "us", zone: "", subZone: "" } };
		});
		const services = [service("s", [{ name: "v1", endpoints }], { dataClass: "health" })];
		return compile(resourceSet({ gateways: [gateway()], services }), EMPTY_STATUS, { collectors: NO_COLLECTORS });
	};
	maker.make(of(["2001:DB8::1"]), 1);
	const broken = of(["10.0.0.9"]);
	const { envoy } = broken;
	t.throws(() => maker.make({ ...broken, envoy: { ...envoy, routes: [] } }, 2), { code: "failed-precondition" });
	const { left } = maker.make(of([]), 3);
	t.same(
		[...left.values()].map(({ service, regions }) => [service, regions]),
		[["s", ["us"]]],
		"nothing that was refused",
	);
	const { places } = maker.make(of(["2001:db8:0::1"]), 4);
	t.same(
		[...places.keys()],
		[...left.values()].map(({ host }) => host),
	);
});

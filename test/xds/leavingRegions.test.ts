/** What left a cluster never stays there at an Envoy where a DataClass does not let it, whoever declares it now. */
import fc from "fast-check";
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import { RESOURCES_MAX } from "../../src/limits.js";
import type { ReferenceGrant } from "../../src/resources/resource.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { allWithin } from "../../src/xds/leaving.js";
import type { EncodedResource } from "../../src/xds/resource.js";
import { RecentViews } from "../../src/xds/sentViews.js";
import { type Snapshot, SnapshotMaker } from "../../src/xds/snapshot.js";
import { gateway, metadata, resourceSet, service } from "../fixtures/resources.js";
import { HEALTH } from "./healthCheck.js";
import { AMPLE, Script } from "./script.js";

/** An endpoint as one Variant has it. */
interface Placed {
	readonly service: string;
	readonly variant: string;
	/** By which it is known again. */
	readonly port: number;
	/** "" = it does not say. */
	readonly region: string;
}

interface Declared {
	readonly placed: readonly Placed[];
	/** Of each Service that is declared; null = anywhere. */
	readonly regions: Readonly<Record<string, readonly string[] | null>>;
	/** The same of Services that are gone and whose DataClass is still there. */
	readonly gone?: Declared["regions"];
	/** Others than it are there where they have endpoints. */
	readonly defaultVariant?: string;
	/** Somebody looks whether a new one is healthy, and the old ones serve meanwhile. */
	readonly isChecked?: boolean;
	/** Services whose configuration this Envoy has refused. */
	readonly closed?: readonly string[];
}

/** Of the one that has a DNS name, and stands in the cluster itself. */
const DNS_PORT = 12;
const VARIANTS = ["v1", "v2", "v3"];
const maker = new SnapshotMaker();

function snapshot(declared: Declared, by = maker): Snapshot {
	const { placed, regions, gone, defaultVariant = "v1", isChecked = true, closed = [] } = declared;
	const services = Object.entries(regions).map(([name, allowed]) => {
		const variants = VARIANTS.map((variant) => ({
			name: variant,
			endpoints: placed
				.filter((one) => one.service === name && one.variant === variant)
				.map(({ port, region }) => ({
					...{ address: port === DNS_PORT ? "pods.example" : "127.0.0.1", port },
					locality: region === "" ? null : { region, zone: "", subZone: "" },
				})),
		})).filter((one) => one.name === defaultVariant || one.endpoints.length > 0);
		const healthCheck = isChecked ? HEALTH : null;
		return service(name, variants, { healthCheck, defaultVariant, dataClass: allowed === null ? null : name });
	});
	const dataClasses = Object.entries({ ...gone, ...regions }).flatMap(([name, allowed]) =>
		allowed === null ? [] : [{ kind: "DataClass" as const, metadata: metadata(name), spec: { regions: allowed } }],
	);
	const set = resourceSet({ gateways: [gateway()], services, dataClasses });
	const planOf = (more: { readonly closed?: ReadonlySet<string> }) =>
		compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS, ...more });
	const whole = by.make(planOf({}), 1);
	return closed.length === 0 ? whole : by.variant(whole, planOf({ closed: new Set(closed) }).envoy);
}

/** An Envoy that agrees with everything, and what it was told of endpoints. */
class Client extends Script {
	#told = 0;

	static of(declared: Declared, views?: RecentViews): Client {
		return Client.begun(snapshot(declared), views);
	}

	static begun(target: Snapshot, views?: RecentViews): Client {
		const client = new Client(target, views);
		client.start(["model", "other"].flatMap((name) => VARIANTS.map((variant) => `${name}/${variant}`)));
		return client;
	}

	becomes(declared: Declared): this {
		this.agree(this.publish(snapshot(declared)));
		return this;
	}

	/** What each cluster had, by what was told since the last look. */
	told(): readonly (readonly [cluster: string, had: readonly Pick<Placed, "port" | "region">[]])[] {
		const since = this.received.slice(this.#told);
		this.#told = this.received.length;
		const of = ({ hosts, regions }: EncodedResource) =>
			hosts.map((host, at) => ({ port: Number(host.split(":").at(-1)), region: regions[at] ?? "" }));
		return since.flatMap(({ type, resources }) =>
			type === "endpoints" || type === "clusters" ? resources.map((one) => [one.name, of(one)] as const) : [],
		);
	}

	has(cluster: string): readonly number[] {
		const sent = this.received.flatMap(({ type, resources }) => (type === "endpoints" ? resources : []));
		const { hosts = [] } = sent.findLast(({ name }) => name === cluster) ?? {};
		return hosts.map((host) => Number(host.split(":").at(-1)));
	}
}

const at = (cluster: string, port: number, region: string): Placed => {
	const [service = "", variant = ""] = cluster.split("/");
	return { service, variant, port, region };
};
const EU = ["eu"];

function placedBy(
	before: readonly Placed[],
	placings: readonly (Omit<Placed, "variant"> & { readonly variant?: string | undefined })[],
) {
	return placings.reduce((placed, { variant, ...one }): readonly Placed[] => {
		const others = placed.filter(({ service, port }) => service !== one.service || port !== one.port);
		return variant === undefined ? others : [...others, { ...one, variant }];
	}, before);
}

t.test(
	"none that is declared outside now, under whatever Variant or Service, and none is cut off elsewhere",
	async (t) => {
		const before = [at("model/v1", 1, "eu"), at("model/v2", 2, "eu"), at("other/v1", 4, "eu")];
		const kept = before.slice(1);
		const regions = { model: EU, other: EU };
		const after = (placed: readonly Placed[], more: Partial<Declared> = {}): readonly number[] => {
			const client = Client.of({ placed: before, regions });
			return client
				.becomes({ placed: [at("model/v1", 3, "eu"), ...kept, ...placed], regions, ...more })
				.has("model/v1");
		};
		t.same(after([]), [3, 1], "it serves until its successor is checked");
		t.same(after([at("model/v2", 1, "us")]), [3], "another Variant's, elsewhere");
		t.same(after([at("other/v1", 1, "us")]), [3], "another Service's, elsewhere");
		t.same(after([at("other/v1", 1, "")]), [3], "another Service's, nobody knows where");
		const split = { model: EU, other: ["us"] };
		t.same(after([at("other/v1", 1, "eu")], { regions: split }), [3, 1], "where other may not have it, model may");
		const open = { model: EU, other: null };
		t.same(
			after([at("other/v1", 1, "us")], { regions: open, closed: ["other"] }),
			[3],
			"of one that has no cluster here",
		);
		t.same(after([at("model/v2", 1, "us")], { regions: { model: null, other: EU } }), [3], "it is v2's now");

		const shared = { model: EU, other: null };
		const both = Client.of({ placed: [...before, at("other/v2", 5, "us")], regions: shared });
		const moved = [...before, at("other/v2", 6, "us"), at("model/v2", 5, "ae")];
		both.becomes({ placed: moved, regions: shared });
		t.same(both.has("other/v2"), [6, 5], "no DataClass keeps it from other, and model never has it");
		t.same(both.has("model/v2"), [2]);
	},
);

t.test(
	"nor one that was placed outside while the client was told nothing, and is declared by nobody now",
	async (t) => {
		const regions = { model: EU };
		const before = [at("model/v1", 1, "eu"), at("model/v1", 2, "eu")];
		const replaced = [at("model/v1", 1, "eu"), at("model/v1", 3, "eu")];
		const outside = [...replaced, at("model/v1", 2, "us")];

		const slow = Client.of({ placed: before, regions });
		const heard = slow.publish(snapshot({ placed: [...before, at("model/v1", 4, "eu")], regions }));
		slow.publish(snapshot({ placed: outside, regions }));
		slow.publish(snapshot({ placed: replaced, regions }));
		slow.agree(heard);
		t.same(slow.has("model/v1"), [1, 3, 4], "one that had not answered");

		const closed = Client.of({ placed: before, regions });
		closed.becomes({ placed: replaced, regions });
		t.same(closed.has("model/v1"), [1, 3, 2], "it waits for its successor");
		closed.becomes({ placed: replaced, regions, closed: ["model"] });
		closed.becomes({ placed: outside, regions, closed: ["model"] });
		closed.becomes({ placed: replaced, regions });
		t.same(closed.has("model/v1"), [1, 3], "one that had refused the Service");

		const moved = [at("model/v1", 1, "eu"), at("model/v1", 2, "us")];
		const [wide, free] = [{ model: ["eu", "us"] }, { model: null, other: null }];
		const shared = [...moved, at("other/v1", 2, "eu")];
		for (const [former, place] of [
			[wide, moved],
			[free, moved],
			[free, shared],
		] as const) {
			const late = Client.of({ placed: before, regions: former });
			const said = late.publish(snapshot({ placed: [...before, at("model/v1", 4, "eu")], regions: former }));
			for (const [placed, bound] of [
				[place, former],
				[replaced, former],
				[replaced, regions],
			] as const)
				late.publish(snapshot({ placed, regions: bound }));
			late.agree(said);
			t.same(late.has("model/v1"), [1, 3, 4], "it was where the DataClass allowed it then, and does not now");
		}
	},
);

t.test(
	"what others say of a server meanwhile, and no more, takes nothing of its own Service's last word away",
	async (t) => {
		const kept = [at("model/v1", 1, "eu"), at("other/v1", 9, "eu")];
		const before = [...kept, at("model/v1", 2, "eu")];
		const now = [...kept, at("model/v1", 3, "eu")];
		const outside = [...kept, at("model/v1", 2, "us")];
		const others = at("other/v1", 2, "eu");
		const [bound, free] = [
			{ model: EU, other: null },
			{ model: null, other: null },
		];
		/** @returns what a client has of the cluster that answers nothing until all that is published */
		const late = (first: Declared["regions"], steps: readonly Declared[]): readonly number[] => {
			const client = Client.of({ placed: before, regions: first });
			const said = client.publish(snapshot({ placed: [...before, at("model/v1", 4, "eu")], regions: first }));
			for (const declared of [...steps, { placed: now, regions: bound }]) client.publish(snapshot(declared));
			client.agree(said);
			return client.has("model/v1");
		};
		const [gone, waits] = [
			[1, 3, 4],
			[1, 3, 2, 4],
		];
		for (const first of [free, bound]) {
			const after = (...steps: readonly (readonly Placed[])[]): readonly number[] =>
				late(
					first,
					steps.map((placed) => ({ placed, regions: first })),
				);
			t.same(after([...outside, others], [...now, others]), gone, "another one drops it later");
			t.same(after([...outside, others], outside), gone, "or before");
			t.same(after(outside, now, [...now, others]), gone, "or has it for a while since");
			t.same(after(outside, now, before), waits, "its own Service has it back inside, and drops it again");
			t.same(after([...before, { ...others, region: "us" }], before), waits, "another one's word that is past is none");
		}
		t.same(
			late(bound, [{ placed: now, regions: { other: null } }]),
			waits,
			"nor is it lost with the Service for a while",
		);
		t.same(
			late(bound, [
				{ placed: outside, regions: bound },
				{ placed: now, regions: { other: null } },
			]),
			gone,
		);
		const twice = [...kept, at("model/v1", 2, "eu"), at("model/v2", 2, "us")];
		t.same(late(free, [{ placed: twice, regions: free }]), gone, "where its Service says two places, one is outside");
		const silent = [...before, at("model/v2", 2, "")];
		t.same(late(bound, [{ placed: silent, regions: bound }]), waits, "a Variant that says none takes none back");
		t.same(
			late(
				bound,
				[silent, silent.slice(0, 2).concat(silent.slice(3))].map((placed) => ({ placed, regions: bound })),
			),
			gone,
		);

		const refuses = Client.of({ placed: before, regions: bound });
		refuses.becomes({ placed: now, regions: bound });
		t.same(refuses.has("model/v1"), [1, 3, 2], "it waits for its successor");
		const closed = { regions: bound, closed: ["model"] };
		for (const placed of [now, [...now, at("model/v1", 2, "us"), others], [...now, others]])
			refuses.becomes({ placed, ...closed });
		refuses.becomes({ placed: now, regions: bound });
		t.same(refuses.has("model/v1"), [1, 3], "one that had refused the Service");
	},
);

t.test(
	"servers that two Services share wait for their successors though one of both says no region of them",
	async (t) => {
		const regions = { model: EU, other: null };
		const after = (before: readonly Placed[], now: readonly Placed[]): readonly number[] =>
			Client.of({ placed: before, regions }).becomes({ placed: now, regions }).has("model/v1");
		const before = [at("model/v1", 1, "eu"), at("model/v1", 2, "eu")];
		const now = [at("model/v1", 3, "eu")];
		const shared = [...before, at("other/v1", 1, ""), at("other/v1", 2, "us")];
		t.same(after(shared, [...now, at("other/v1", 3, "")]), [3, 1, 2], "it was model's word that counted there");
		t.same(after([...before, at("other/v1", 2, "")], [...now, at("other/v1", 5, "")]), [3, 1, 2]);
		t.same(after(shared, [...now, at("other/v1", 1, "")]), [3, 2], "but not where the other one's is the only one");

		const others = Array.from({ length: 30 }, (_, n) => `s${n}`);
		const many: Declared["regions"] = { model: EU, ...Object.fromEntries(others.map((name) => [name, null])) };
		const all = (port: number): Declared => ({
			placed: [at("model/v1", port, "eu"), ...others.map((name) => at(`${name}/v1`, port, ""))],
			regions: many,
		});
		t.same(Client.of(all(1)).becomes(all(2)).has("model/v1"), [2, 1], "however many share it");
	},
);

t.test("nor where a Service that is gone had it", async (t) => {
	const before = [at("model/v1", 1, "eu"), at("model/v1", 2, "eu"), at("other/v1", 4, "eu")];
	const client = Client.of({ placed: before, regions: { model: EU, other: EU } });
	// Others are not known there yet, so that the routes wait.
	const placed = [at("other/v1", 4, "eu"), at("other/v2", 1, "us")];
	client.publish(snapshot({ placed, regions: { other: EU }, gone: { model: EU } }));
	t.same(client.has("model/v1"), [2], "what nobody declares serves until the routes have left");
});

t.test("nor does one by a DNS name have it from before", async (t) => {
	const regions = { model: EU, other: EU };
	const kept = [at("other/v1", 9, "eu")];
	const before = [...kept, at("model/v1", 1, "eu"), at("model/v1", 2, "eu")];
	const former = (first: readonly Placed[], now: readonly Placed[]): readonly string[] | undefined => {
		snapshot({ placed: [...before, ...first], regions });
		const { former } = snapshot({ placed: [...kept, at("model/v1", DNS_PORT, "eu"), ...now], regions });
		return former.get("model/v1")?.hosts;
	};
	const [one, two] = ["127.0.0.1:1", "127.0.0.1:2"];
	t.same(former([], []), [one, two]);
	t.same(former([], [at("other/v1", 2, "us")]), [one], "another one places it outside now");
	t.same(former([at("model/v2", 2, "us")], []), [one], "so did its own Service");
});

t.test("nor in a cluster that goes before the client has answered what changed it", async (t) => {
	const told = (region: string, ...more: readonly Placed[]): readonly (readonly number[])[] => {
		const regions = { model: EU, other: EU };
		const client = Client.of({ placed: [at("model/v3", 1, "eu")], regions });
		const both = [at("model/v3", 1, "eu"), at("model/v3", 2, "eu")];
		const heard = [
			...client.publish(snapshot({ placed: both, regions })),
			...client.publish(snapshot({ placed: [], regions, defaultVariant: "v3", isChecked: false })),
		];
		client.told();
		client.target = snapshot({ placed: [at("model/v2", 1, region), ...more], regions });
		client.agree(heard);
		return client.told().flatMap(([name, had]) => (name === "model/v3" ? [had.map(({ port }) => port)] : []));
	};
	t.same(told("eu"), [[1, 2]], "it may be told of it until it goes");
	t.same(told("us"), [[2]]);
	t.same(told("us", at("model/v1", 2, "eu")), [[2]], "one that another Variant has now too");
});

t.test("a cluster of DNS names that goes does so at once where one is outside now", async (t) => {
	const goes = (region: string): boolean => {
		const regions = { model: EU, other: null };
		const client = Client.of({ placed: [at("model/v1", DNS_PORT, "eu"), at("other/v1", 4, "eu")], regions });
		client.told();
		// v2 is not known there yet, so that the routes wait.
		const moved = [at("model/v2", 2, "eu"), at("other/v1", DNS_PORT, region), at("other/v2", 4, "eu")];
		client.publish(snapshot({ placed: moved, regions, defaultVariant: "v2" }));
		return !client.told().some(([cluster]) => cluster === "model/v1");
	};
	t.notOk(goes("eu"), "its routes have not left it");
	t.ok(goes("us"));

	const regions = { model: EU, other: null };
	const shared = [at("model/v1", DNS_PORT, "eu"), at("other/v1", DNS_PORT, "")];
	const client = Client.of({ placed: shared, regions });
	client.told();
	const both = [at("model/v2", 2, "eu"), at("other/v2", 4, "eu")];
	client.publish(snapshot({ placed: both, regions, defaultVariant: "v2" }));
	t.ok(
		client.told().some(([cluster]) => cluster === "model/v1"),
		"nor where another one said no region of it as they shared it",
	);
});

t.test("where no DataClass bound a Service that is gone, its DNS names serve wherever they are", async (t) => {
	const before = [at("model/v1", DNS_PORT, "eu")];
	const renamed = (model: readonly string[] | null, region: string): readonly string[] => {
		const client = Client.of({ placed: before, regions: { model } });
		const placed = [at("other/v1", DNS_PORT, region)];
		return client.agree(client.publish(snapshot({ placed, regions: { other: null }, gone: { model } })));
	};
	const madeBeforeBroken = ["clusters:model/v1,other/v1", "routes:weir/edge", "clusters:other/v1"];
	for (const region of ["eu", "us", ""]) t.same(renamed(null, region), madeBeforeBroken, `now in "${region}"`);
	t.same(renamed(EU, "eu"), madeBeforeBroken);
	t.same(renamed(EU, "us"), ["clusters:other/v1", "routes:weir/edge"]);

	const client = Client.of({ placed: before, regions: { model: null } });

	const heard = client.publish(snapshot({ placed: [at("other/v1", DNS_PORT, "eu")], regions: { other: null } }));
	// Others come and go before it answers.
	client.target = snapshot({ placed: [at("third/v1", DNS_PORT, "us")], regions: { third: null } });
	t.same(client.agree(heard)[1], "clusters:model/v1,third/v1");

	const plan = compile(resourceSet({}), EMPTY_STATUS, { collectors: NO_COLLECTORS });
	const free = { kind: "Service" as const, metadata: metadata("s"), spec: { dataClass: null } };
	const many = new Map(Array.from({ length: RESOURCES_MAX }, (_, at) => [`s${at}`, free]));
	const last = new SnapshotMaker();
	const known = [new Map([["first", free]]), many, new Map()].map((residents) => [
		...last.make({ ...plan, residents }, 1).bound.keys(),
	]);
	t.equal(known[1]?.[0], "first");
	t.same(known[2], [...many.keys()], "those that went last are known");
	const bound = new Map([["first", { ...free, spec: { dataClass: "health" } }]]);
	const again = new SnapshotMaker();
	const since = [bound, many, many, new Map()].map((residents) => [
		...again.make({ ...plan, residents }, 1).bound.keys(),
	]);
	t.equal(since[2]?.[0], "first", "what is declared pushes out none");
	t.same(since[3], [...[...many.keys()].slice(1), "first"], "one that is bound is known longest");
});

t.test("of a Service of which nothing is known any more serves on what stands where it stood", async (t) => {
	const before = snapshot({ placed: [at("model/v1", DNS_PORT, "eu")], regions: { model: EU } });
	const had = before.views.clusters.get("model/v1");
	if (had === undefined) throw new Error("it has a cluster");
	const now = (placed: readonly Placed[]): Snapshot =>
		snapshot({ placed: [at("other/v1", 4, "eu"), ...placed], regions: { other: null } }, new SnapshotMaker());
	t.notOk(now([]).bound.has("model"));
	t.ok(allWithin(had, now([])));
	t.ok(allWithin(had, now([at("other/v2", DNS_PORT, "eu")])));
	t.notOk(allWithin(had, now([at("other/v2", DNS_PORT, "us")])));
	t.notOk(allWithin(had, now([at("other/v2", DNS_PORT, "")])));
});

t.test("a DataClass holds as it is now for a Service that is gone too", async (t) => {
	const grant: ReferenceGrant = {
		kind: "ReferenceGrant",
		metadata: metadata("health", "law"),
		spec: { from: [{ kind: "Service", namespace: "default" }], to: [{ kind: "DataClass", name: null }] },
	};
	const here = { address: "pods.example", port: DNS_PORT, locality: { region: "us", zone: "", subZone: "" } };
	/** @param regions of the DataClass; null = it is not there */
	const named = (name: string, regions: readonly string[] | null, referenceGrants = [grant]): Snapshot => {
		const dataClass = name === "model" ? "law/health" : null;
		const classes =
			regions === null ? [] : [{ kind: "DataClass" as const, metadata: grant.metadata, spec: { regions } }];
		const services = [service(name, [{ name: "v1", endpoints: [here] }], { healthCheck: HEALTH, dataClass })];
		const set = resourceSet({ gateways: [gateway()], services, dataClasses: classes, referenceGrants });
		return maker.make(compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS }), 1);
	};
	const both = ["us", "ae"];
	const began = (): Client => Client.begun(named("model", both));
	const madeBeforeBroken = ["clusters:model/v1,other/v1", "routes:weir/edge", "clusters:other/v1"];
	const changes: readonly (readonly [string, () => Snapshot])[] = [
		["narrowed", () => named("other", ["ae"])],
		["deleted", () => named("other", null)],
		["no longer granted", () => named("other", both, [])],
	];
	for (const [what, changed] of changes) {
		const together = began();
		t.same(together.agree(together.publish(changed())), ["clusters:other/v1", "routes:weir/edge"], `${what} at once`);

		const after = began();
		const heard = after.publish(named("other", both));
		after.target = changed();
		const answers = after.agree(heard);
		t.same(answers.slice(0, 2), [madeBeforeBroken[0], "clusters:other/v1"], `${what} before it answers`);
	}
	const kept = began();
	t.same(kept.agree(kept.publish(named("other", both))), madeBeforeBroken, "as it was");
});

/** Another server in the place of one, if it is none of the Service's already. */
function replacedBy(before: readonly Placed[], index: number, port: number): readonly Placed[] {
	const old = before[index % Math.max(1, before.length)];
	const isKnown = before.some((one) => one.service === old?.service && one.port === port);
	return isKnown ? before : before.map((one) => (one === old ? { ...one, port } : one));
}

const port = fc.integer({ min: 1, max: DNS_PORT });
/** Each Service has a server in one Variant, and in one region; undefined: has it no more. */
const placing = fc.record({
	service: fc.constantFrom("model", "other"),
	port,
	variant: fc.constantFrom(undefined, ...VARIANTS, ...VARIANTS),
	region: fc.constantFrom("eu", "eu", "eu", "eu", "eu", "us", "ae", ""),
});
const allowed = fc.constantFrom(null, ["eu"], ["eu", "ae"], ["eu", "us"]);
const step = fc.record({
	replaced: fc.nat(100),
	by: port,
	placings: fc.array(placing, { minLength: 1, maxLength: 3 }),
	regions: fc.oneof(
		{ weight: 3, arbitrary: fc.constant(null) },
		{ weight: 1, arbitrary: fc.record({ model: allowed, other: allowed }, { requiredKeys: ["model"] }) },
	),
	defaultVariant: fc.constantFrom("v1", "v1", ...VARIANTS),
	isChecked: fc.constantFrom(true, true, true, false),
	closed: fc.constantFrom([], [], [], ["other"], ["model"]),
	/** It answers nothing yet. */
	isLate: fc.constantFrom(false, false, true),
	laterMs: fc.constantFrom(0, 100, 900, 5_000),
	comesBack: fc.constantFrom(...Array(9).fill(false), true),
});

const wordOf = (service: string, port: number): string => `${service} ${port}`;

t.test(
	"random changes: an endpoint that was published elsewhere, or is placed elsewhere now, is in no message",
	async (t) => {
		let stayed = 0;
		fc.assert(
			fc.property(
				fc.array(placing, { minLength: 8, maxLength: 8 }),
				fc.array(step, { minLength: 12, maxLength: 12 }),
				(first, steps) => {
					let now: Declared = { placed: placedBy([], first), regions: { model: EU, other: EU } };
					const views = new RecentViews(AMPLE);
					let client = Client.of(now, views);
					const lastBound = new Map<string, readonly string[] | null>();
					/** Regions by Service and port. */
					const lastWords = new Map<string, readonly string[]>();
					const judge = (): void => {
						const placed = now.placed.filter((one) => now.regions[one.service] !== undefined);
						for (const one of placed) lastWords.set(wordOf(one.service, one.port), []);
						for (const { service, port, region } of placed)
							lastWords.set(wordOf(service, port), [...(lastWords.get(wordOf(service, port)) ?? []), region]);
						for (const [name, regions] of Object.entries(now.regions)) lastBound.set(name, regions);
						for (const [cluster, had] of client.told()) {
							const [service = ""] = cluster.split("/");
							const within = lastBound.get(service) ?? null;
							for (const { port, region } of within === null ? [] : had) {
								const everywhere = placed.filter((one) => one.port === port);
								const own = everywhere.find((one) => `${one.service}/${one.variant}` === cluster);
								if (own === undefined) stayed++;
								const others = everywhere.map((one) => one.region);
								const last = lastWords.get(wordOf(service, port)) ?? [];
								const where = own === undefined ? [region, ...last, ...others] : [own.region];
								if (!where.every((one) => within?.includes(one)))
									throw new Error(`${cluster} has ${port}, in ${where}, of ${within}`);
							}
						}
					};
					judge();
					let unanswered: readonly string[] = [];
					for (const { replaced, by, placings, regions, laterMs, isLate, comesBack, ...more } of steps) {
						now = {
							placed: placedBy(replacedBy(now.placed, replaced, by), placings),
							regions: regions ?? now.regions,
							...more,
						};
						if (comesBack) client = Client.of(now, views);
						const said = client.publish(snapshot(now));
						unanswered = comesBack ? said : [...unanswered, ...said];
						if (!isLate) {
							client.agree(unanswered);
							unanswered = [];
						}
						judge();
						client.nowMs += laterMs;
						const later = client.pump();
						if (isLate) unanswered = [...unanswered, ...later];
						else client.agree(later);
						judge();
					}
				},
			),
			{ numRuns: 100 },
		);
		t.ok(stayed > 20, `${stayed} stayed`);
	},
);

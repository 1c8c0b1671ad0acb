/** How an Experiment stands is asked of ingest for one reader after the other: the loop asks there, too. */
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { STANDINGS_PER_SUBJECT_MAX, STANDINGS_WAITING_MAX } from "../../src/limits.js";
import type { EvidenceSource } from "../../src/rollout/ports.js";
import { NOTHING_BESIDE } from "../rollout/example.js";
import { ALL, file } from "./employment.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const CROWD = Array.from({ length: STANDINGS_WAITING_MAX / STANDINGS_PER_SUBJECT_MAX }, (_, n) => `crowd${n}`);

async function started(t: Parameters<typeof mutualApi>[0]) {
	let [underWay, most, asked] = [0, 0, 0];
	let open = (): void => undefined;
	const gate = new Promise<void>((resolve) => {
		open = resolve;
	});
	const evidence: EvidenceSource = {
		baselineQuantile: async () => null,
		evidence: async ({ experiment }) => {
			asked++;
			most = Math.max(most, ++underWay);
			await gate;
			underWay--;
			return { experiment, asOfMs: 1, arms: [], exposures: [], ...NOTHING_BESIDE };
		},
	};
	const made = await mutualApi(t, { evidence });
	const bindings = ["rita", "bob", ...CROWD].map((name) => binding(name, "read", [name], "[default]"));
	await made.owner.apply(file([ALL, ...bindings].join("---\n")), { dryRun: false });
	const until = async (count: number): Promise<void> => {
		while (asked < count) await pause(5);
	};
	return { ...made, open, until, asked: () => asked, most: () => most };
}

t.test("one after the other, a few of each reader; the owner waits for nobody", async (t) => {
	const { owner, as, open, until, asked, most } = await started(t);
	const [rita, bob] = [await as("rita"), await as("bob")];
	const ask = () => rita.standing("boosted");
	const first = ask();
	await until(1);
	const answers = [first];
	while (answers.length < STANDINGS_PER_SUBJECT_MAX) answers.push(ask());
	await pause(200);
	for (let n = 0; n < 3; n++)
		await t.rejects(ask(), { code: "resource-exhausted", hint: /one after the other/ }, "no more at once");
	const others = bob.standing("boosted");
	await pause(200);
	t.equal(asked(), 1, "the others wait");
	t.match(await rita.status(), { experiments: [{ experiment: "boosted" }] }, "status waits for none");
	const owners = owner.standing("boosted");
	await until(2);
	open();
	for (const one of await Promise.all([...answers, others, owners]))
		t.match(one, { noEvidence: "", evidence: { asOfMs: 1 } });
	t.equal(most(), 2, "a reader's and the owner's");
	t.match(await ask(), { noEvidence: "" }, "and again");
});

t.test(
	"a crowd gives way to who comes, one of it is told to ask again, and a binding taken away meanwhile counts",
	async (t) => {
		const { owner, as, open, until } = await started(t);
		const bob = await as("bob");
		const first = bob.standing("boosted");
		await until(1);
		const crowd = await Promise.all(CROWD.map(as));
		const waiting = crowd.flatMap((client) =>
			Array.from({ length: STANDINGS_PER_SUBJECT_MAX }, () =>
				client.standing("boosted").then(
					() => null,
					(error) => error,
				),
			),
		);
		await pause(1_000);
		const rita = await as("rita");
		const ritas = rita.standing("boosted");
		const refused = await Promise.race(waiting);
		t.match(refused, { code: "unavailable", message: /too many questions/ });
		await owner.delete("RoleBinding", String(CROWD[0]), { dryRun: false });
		open();
		await first;
		const ends = await Promise.all(waiting);
		t.match(await ritas, { noEvidence: "" });
		t.equal(ends.filter((end) => end?.code === "unavailable").length, 1);
		const ofBound = (those: typeof ends) => new Set(those.filter((end) => end !== refused).map((end) => end?.code));
		t.same(ofBound(ends.slice(0, STANDINGS_PER_SUBJECT_MAX)), new Set(["not-found"]));
		t.same(ofBound(ends.slice(STANDINGS_PER_SUBJECT_MAX)), new Set([undefined]));
	},
);

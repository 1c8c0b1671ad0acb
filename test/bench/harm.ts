/**
 * Harm budget: the same faults through decide() and through the rules of Flagger, Argo Rollouts and Kayenta: how many
 * people meet the faulty challenger until it is rolled back, and how often a healthy one is. For each peer the setting
 * is taken that hurts fewest people, per fault and in hindsight, among those that roll back a healthy challenger in at
 * most ALPHA of the worlds.
 * Run: `npm run bench -- harm`; the last line is `RESULT {"harmShareOfBestPeer":…,"falseRollbacks":…,"alpha":…}`.
 */
import { PEERS, type Rule } from "./harm/peers.js";
import { type Ended, EXPERIMENT, runWeir } from "./harm/weir.js";
import {
	emptyMinute,
	FAULTS,
	type Fault,
	MINUTES,
	type Minute,
	NO_FAULT,
	PEOPLE_PER_MINUTE,
	scrape,
	stepAt,
	World,
} from "./harm/world.js";

const WORLDS = 60;
const HEALTHY_WORLDS = 240;
const ALPHA = EXPERIMENT.spec.rollout.alpha;
const RULE_LIST: readonly Rule[] = Object.values(PEERS).flat();

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** All peers on one world: they only look, so one run of it serves all of them. */
function runPeers(seed: number, fault: Fault): ReadonlyMap<Rule, Ended> {
	const world = new World(seed, fault);
	const canary: Minute[] = [];
	const stable: Minute[] = [];
	const running = new Map(RULE_LIST.map((rule) => [rule, rule.start()]));
	const ended = new Map<Rule, Ended>();
	let exposed = 0;
	for (let minute = 0; minute < MINUTES && running.size > 0; minute++) {
		const inCanary = Math.round(PEOPLE_PER_MINUTE * stepAt(minute));
		const [now, other] = [emptyMinute(), emptyMinute()];
		for (let person = 0; person < inCanary; person++) scrape(now, world.person(minute, true));
		for (let person = inCanary; person < PEOPLE_PER_MINUTE; person++) scrape(other, world.person(minute, false));
		canary.push(now);
		stable.push(other);
		exposed += inCanary;
		for (const [rule, ask] of running) {
			if (!ask(canary, stable)) continue;
			ended.set(rule, { minute, exposed });
			running.delete(rule);
		}
	}
	for (const rule of running.keys()) ended.set(rule, { minute: null, exposed });
	return ended;
}

interface Account {
	/** Mean number of people. */
	readonly exposed: number;
	/** Share of worlds with a rollback. */
	readonly rolledBack: number;
}

function account(ends: readonly Ended[]): Account {
	const mean = (of: (end: Ended) => number): number => ends.reduce((sum, end) => sum + of(end), 0) / ends.length;
	return { exposed: mean((end) => end.exposed), rolledBack: mean((end) => Number(end.minute !== null)) };
}

function overWorlds(
	fault: Fault,
	worlds: number,
): { readonly weir: Account; readonly peers: ReadonlyMap<Rule, Account> } {
	const weir: Ended[] = [];
	const peers = new Map<Rule, Ended[]>(RULE_LIST.map((rule) => [rule, []]));
	for (let seed = 0; seed < worlds; seed++) {
		weir.push(runWeir(seed, fault));
		for (const [rule, end] of runPeers(seed, fault)) peers.get(rule)?.push(end);
	}
	return { weir: account(weir), peers: new Map([...peers].map(([rule, ends]) => [rule, account(ends)])) };
}

const people = ({ exposed, rolledBack }: Account): string =>
	`${Math.round(exposed)} people, rolled back in ${(100 * rolledBack).toFixed(0)} %`;

process.stderr.write(`no fault, ${HEALTHY_WORLDS} worlds\n`);
const healthy = overWorlds(NO_FAULT, HEALTHY_WORLDS);
const fair = RULE_LIST.filter((rule) => (healthy.peers.get(rule)?.rolledBack ?? 1) <= ALPHA);
print(`no fault: weir rolls back ${(100 * healthy.weir.rolledBack).toFixed(2)} %`);
for (const [peer, rules] of Object.entries(PEERS)) {
	const left = rules.filter((rule) => fair.includes(rule)).length;
	print(`no fault: ${peer}: ${left} of ${rules.length} settings roll back at most ${100 * ALPHA} %`);
}

let [ours, best] = [0, 0];
for (const fault of FAULTS) {
	process.stderr.write(`${fault.name}, ${WORLDS} worlds\n`);
	const { weir, peers } = overWorlds(fault, WORLDS);
	print(`\n${fault.name}\n  weir: ${people(weir)}`);
	let least = Number.POSITIVE_INFINITY;
	for (const [peer, rules] of Object.entries(PEERS)) {
		for (const rule of rules.filter(({ documented }) => documented))
			print(`  ${rule.name}: ${people(peers.get(rule) ?? account([]))}`);
		const ranked = rules
			.filter((rule) => fair.includes(rule))
			.map((rule) => ({ rule, of: peers.get(rule) ?? account([]) }))
			.sort((a, b) => a.of.exposed - b.of.exposed);
		const [first] = ranked;
		if (first === undefined) continue;
		print(`  best ${peer} in hindsight (${first.rule.name}): ${people(first.of)}`);
		least = Math.min(least, first.of.exposed);
	}
	print(`  weir ÷ best peer: ${(weir.exposed / least).toFixed(3)}`);
	ours += weir.exposed;
	best += least;
}
print(
	`\nRESULT ${JSON.stringify({
		harmShareOfBestPeer: Number((ours / best).toFixed(3)),
		falseRollbacks: Number(healthy.weir.rolledBack.toFixed(4)),
		alpha: ALPHA,
	})}`,
);

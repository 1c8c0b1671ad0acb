/**
 * Harm budget: how many users meet a faulty challenger before its rollback, by decide() and by the rules of three peers, with
 * the documented settings and the best in hindsight. Run: `npm run bench -- harm`; the last line is
 * `RESULT {"harmShareOfDocumentedPeer":…,"harmShareOfBestPeer":…,"falseRollbacks":…,"alpha":…}`.
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

const WORLDS = 50;
const HEALTHY_WORLDS = 200;
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

const faults = FAULTS.map((fault) => {
	process.stderr.write(`${fault.name}, ${WORLDS} worlds\n`);
	return { fault, ...overWorlds(fault, WORLDS) };
});
const total = (rule: Rule): number => faults.reduce((sum, { peers }) => sum + (peers.get(rule)?.exposed ?? 0), 0);
const best = Object.values(PEERS).flatMap((rules) => {
	const [first] = rules.filter((rule) => fair.includes(rule)).sort((a, b) => total(a) - total(b));
	return first === undefined ? [] : [first];
});
const shown = [...RULE_LIST.filter(({ documented }) => documented), ...best];
for (const { fault, weir, peers } of faults) {
	print(`\n${fault.name}\n  weir: ${people(weir)}`);
	for (const rule of shown) print(`  ${rule.name}: ${people(peers.get(rule) ?? account([]))}`);
}
const ours = faults.reduce((sum, { weir }) => sum + weir.exposed, 0);
print(`\nover all faults: weir ${Math.round(ours)} people`);
for (const rule of shown)
	print(
		`over all faults: ${rule.name}: ${Math.round(total(rule))} people, healthy ones rolled back ${(100 * (healthy.peers.get(rule)?.rolledBack ?? Number.NaN)).toFixed(1)} %`,
	);
const advised = RULE_LIST.filter((rule) => rule.documented && fair.includes(rule));
print(
	`RESULT ${JSON.stringify({
		harmShareOfDocumentedPeer: Number((ours / Math.min(...advised.map(total))).toFixed(3)),
		harmShareOfBestPeer: Number((ours / Math.min(...best.map(total))).toFixed(3)),
		falseRollbacks: Number(healthy.weir.rolledBack.toFixed(4)),
		alpha: ALPHA,
	})}`,
);

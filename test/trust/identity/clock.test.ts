/** The CA's wall clock is set, or its machine has slept: SVIDs and roots are renewed by that clock, not by timers. */
import { X509Certificate } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { startCa } from "../../../src/trust/identity/ca.js";
import { derOf } from "../../../src/trust/identity/pem.js";
import { followWorkload } from "../../../src/trust/identity/workloadClient.js";
import type { TestScope } from "../../envoy/harness.js";
import { ENVOY, scratch, TRUST_DOMAIN, until } from "./mesh.js";

t.setTimeout(120_000);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const certificates = (pem: string) => derOf(pem).map((der) => new X509Certificate(der));
const covers = (certificate: X509Certificate | undefined, atMs: number) =>
	certificate !== undefined && Date.parse(certificate.validFrom) <= atMs && atMs < Date.parse(certificate.validTo);

/** A CA and a client of it, on a clock that can be set. */
async function agent(t: TestScope, lifetimes: { svidLifetimeMs?: number; rootLifetimeMs?: number } = {}) {
	let offMs = 0;
	const nowMs = () => Date.now() + offMs;
	const lines: string[] = [];
	const counts = new Map<string, number>();
	const folder = await scratch(t);
	const directory = join(folder, "ca");
	const options = {
		directory,
		trustDomain: TRUST_DOMAIN,
		...lifetimes,
		nowMs,
		log: (line: string) => lines.push(line),
		meter: { count: (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1) },
	};
	const ca = await startCa(options);
	t.teardown(() => ca.close());
	const socketPath = join(folder, "run/envoy.sock");
	await ca.workload(ENVOY, socketPath);
	const workload = await followWorkload({ socketPath, nowMs });
	t.teardown(() => workload.close());
	const svid = () => {
		const { certificate, trustBundle } = workload.current();
		return { certificate: new X509Certificate(certificate), roots: certificates(trustBundle) };
	};
	return {
		ca,
		options,
		directory,
		lines,
		svid,
		nowMs,
		issued: () => counts.get("weir_identity_svids_issued_total") ?? 0,
		set: (ms: number) => {
			offMs += ms;
		},
		/** Whether the holder's SVID and its trusted root are both valid at the clock's time. */
		holds: () => {
			const { certificate, roots } = svid();
			const root = roots.find(({ publicKey }) => certificate.verify(publicKey));
			return covers(certificate, nowMs()) && covers(root, nowMs());
		},
	};
}

/** Waits without calls from the test: current() throws while the holder's identity has expired. */
const comes = (holds: () => boolean, what: string): Promise<void> =>
	until(
		() => {
			try {
				return holds();
			} catch {
				return false;
			}
		},
		what,
		10_000,
	);

t.test("with the clock set forward past an SVID's end the holder gets the next one in seconds", async (t) => {
	const { set, holds, svid, lines } = await agent(t);
	const [root] = svid().roots;
	set(2 * HOUR_MS);
	t.throws(holds, { code: "unavailable" });
	await comes(holds, "an SVID of now");
	t.same(
		svid().roots.map(({ fingerprint }) => fingerprint),
		[root?.fingerprint],
		"of the same root",
	);
	t.match(lines, [/1 SVIDs are not valid now/]);
});

t.test("a clock set back a little has no effect, more renews the SVID, and still more the root", async (t) => {
	const { ca, set, holds, svid, issued } = await agent(t);
	const first = svid();
	set(-10_000);
	await ca.look();
	t.equal(issued(), 1, "by ten seconds nothing changes");
	t.ok(holds());
	set(-35_000);
	t.ok(holds(), "it began a minute before it was made");
	await ca.look();
	await comes(() => svid().certificate.fingerprint !== first.certificate.fingerprint, "the next SVID");
	t.equal(svid().roots[0]?.fingerprint, first.roots[0]?.fingerprint);
	t.ok(holds());
	set(-4 * HOUR_MS);
	t.notOk(holds(), "of the future, and the root too");
	await comes(holds, "an SVID and a root of now, by itself");
	t.equal(svid().roots.length, 1, "a root that is not yet valid is not trusted");
	t.not(svid().roots[0]?.fingerprint, first.roots[0]?.fingerprint);
	const { certificate } = svid();
	await ca.look();
	t.equal(svid().certificate.fingerprint, certificate.fingerprint, "and then it is quiet");
});

t.test("with the clock set forward past a root's end the CA makes a new root", async (t) => {
	const { ca, set, holds, svid, lines, issued, nowMs } = await agent(t);
	const [first] = svid().roots;
	set(8 * DAY_MS);
	await comes(holds, "an SVID and a root of now, by itself");
	t.equal(svid().roots.length, 1);
	t.not(svid().roots[0]?.fingerprint, first?.fingerprint);
	t.equal(issued(), 2, "one is enough");
	t.match(lines[0], /the signing root is not valid now/);

	set(4 * DAY_MS);
	await ca.look();
	await comes(() => svid().roots.length === 2, "the next root is trusted");
	const [, next] = svid().roots;
	set(4 * DAY_MS);
	await ca.look();
	await comes(holds, "an SVID of that root");
	t.equal(svid().roots[0]?.fingerprint, next?.fingerprint, "a prepared root signs, because every holder has it");
	t.ok(
		svid().roots.every((root) => covers(root, nowMs())),
		"the ended one is gone in the same look",
	);
});

t.test("with the clock set back before the next root another is prepared, and the signing one stays", async (t) => {
	const { ca, set, holds, svid, nowMs } = await agent(t);
	const [signer] = svid().roots;
	set(4 * DAY_MS);
	await ca.look();
	await comes(() => svid().roots.length === 2, "the next root is trusted");
	set(-4 * DAY_MS);
	await ca.look();
	await comes(() => holds() && svid().roots.every((root) => covers(root, nowMs())), "all of now");
	t.equal(svid().roots[0]?.fingerprint, signer?.fingerprint);
	t.equal(svid().roots.length, 2);
});

t.test("saved roots that are expired or not yet valid are not used after a restart", async (t) => {
	const { ca, set, options, lines, nowMs } = await agent(t);
	const [first] = certificates(ca.bundle());
	await ca.close();
	set(-4 * HOUR_MS);
	const back = await startCa(options);
	const [second, none] = certificates(back.bundle());
	await back.close();
	t.not(second?.fingerprint, first?.fingerprint);
	t.ok(covers(second, nowMs()));
	t.equal(none, undefined);
	t.match(lines.at(-1), /a new one replaces all roots/);
	set(4 * DAY_MS);
	const half = await startCa(options);
	await half.look();
	const [, next] = certificates(half.bundle());
	t.ok(next);
	await half.close();
	set(4 * DAY_MS);
	const late = await startCa(options);
	t.same(
		certificates(late.bundle()).map(({ fingerprint }) => fingerprint),
		[next?.fingerprint],
		"the one that was prepared signs",
	);
	await late.close();
});

t.test("if renewal fails the CA retries at a bounded rate, issues nothing, and recovers", async (t) => {
	const lifetimes = { svidLifetimeMs: 2_000, rootLifetimeMs: 12_000 };
	const { set, holds, lines, issued, directory } = await agent(t, lifetimes);
	const taken = join(directory, "roots.json.new");
	await mkdir(taken);
	set(HOUR_MS);
	const failed = () => lines.filter((line) => /^the roots cannot be changed: .*EISDIR/.test(line));
	await until(() => failed().length > 0, "the disk does not take the new root");
	const [before, tries, begun] = [issued(), failed().length, performance.now()];
	await until(() => failed().length >= tries + 3, "it tries again");
	t.ok(performance.now() - begun > 1_000, "half a second apart");
	t.equal(issued(), before, "no SVID is issued by an ended root");
	await rm(taken, { recursive: true });
	await comes(holds, "an SVID and a root of now");
});

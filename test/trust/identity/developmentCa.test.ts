import { createPrivateKey, X509Certificate } from "node:crypto";
import t from "tap";
import { createDevelopmentCa } from "./developmentCa.js";

const HOUR_MS = 3_600_000;
const nowMs = Date.parse("2026-01-01T00:00:00Z");
const ca = await createDevelopmentCa({ trustDomain: "example.org", nowMs, lifetimeMs: HOUR_MS });
const root = new X509Certificate(ca.certificate);

t.test("the CA certificate is a path-less SPIFFE signing certificate", async (t) => {
	t.equal(root.ca, true);
	t.equal(root.subjectAltName, "URI:spiffe://example.org");
	t.equal(root.validTo, "Jan  1 01:00:00 2026 GMT");
	t.ok(root.verify(root.publicKey), "signed by itself");
	t.equal(root.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
});

t.test("an issued certificate is an SVID with one URI SAN and its own key, signed by the CA", async (t) => {
	const issued = await ca.issue({ spiffeId: "spiffe://example.org/ns/a", dnsNames: ["a.test"] });
	const leaf = new X509Certificate(issued.certificate);
	t.equal(leaf.subjectAltName, "URI:spiffe://example.org/ns/a, DNS:a.test");
	t.equal(leaf.ca, false);
	t.ok(leaf.checkIssued(root));
	t.ok(leaf.verify(root.publicKey));
	t.ok(leaf.checkPrivateKey(createPrivateKey(issued.privateKey)));
	t.same(leaf.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"], "server and client authentication");
	t.equal(leaf.validTo, root.validTo, "no longer than the CA");
	const other = new X509Certificate((await ca.issue({ spiffeId: "spiffe://example.org/ns/a" })).certificate);
	t.not(other.serialNumber, leaf.serialNumber);
});

t.test("a lifetime is cut at the CA's end and kept below it", async (t) => {
	const spiffeId = "spiffe://example.org/x";
	const short = new X509Certificate((await ca.issue({ spiffeId, lifetimeMs: 60_000 })).certificate);
	t.equal(short.validTo, "Jan  1 00:01:00 2026 GMT");
	const long = new X509Certificate((await ca.issue({ spiffeId, lifetimeMs: 10 * HOUR_MS })).certificate);
	t.equal(long.validTo, root.validTo);
});

t.test("ids outside the trust domain are refused", async (t) => {
	for (const spiffeId of [
		"spiffe://example.org",
		"spiffe://example.org/",
		"spiffe://other.org/a",
		"spiffe://example.org.evil/a",
		"https://example.org/a",
		"spiffe://example.org/a/../b",
		"spiffe://example.org/a//b",
		"spiffe://example.org/a?x",
		"spiffe://example.org/a%2f",
	]) {
		await t.rejects(ca.issue({ spiffeId }), { code: "invalid-argument" }, spiffeId);
	}
	await t.rejects(createDevelopmentCa({ trustDomain: "Bad Domain", nowMs, lifetimeMs: 1 }), {
		code: "invalid-argument",
	});
	await t.rejects(createDevelopmentCa({ trustDomain: "a.b", nowMs, lifetimeMs: 0 }), { code: "invalid-argument" });
});

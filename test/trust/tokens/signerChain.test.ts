/** The signer of a certificate chain: only a SPIFFE id by the rule of resources/spiffe.ts. */
import { X509Certificate } from "node:crypto";
import t from "tap";
import { spiffeFault } from "../../../src/declare/resources/spiffe.js";
import { signerOf } from "../../../src/trust/tokens/signerChain.js";
import { oddCa } from "../../compile/access/oddCertificates.js";

t.test("a chain with an invalid or too long SPIFFE id has no signer", async (t) => {
	const ca = await oddCa();
	const roots = [new X509Certificate(ca.certificate)];
	const signer = async (id: string) => {
		const { certificate } = await ca.issue([{ type: "url", value: id }]);
		return signerOf([new X509Certificate(certificate).raw], roots);
	};
	const longest = `spiffe://a.test/${"x".repeat(2_048 - "spiffe://a.test/".length)}`;
	for (const id of ["spiffe://a.test/weir/envoy/edge", "spiffe://a.test/a/...", longest]) {
		t.equal(spiffeFault(id), null);
		t.match(await signer(id), { spiffeId: id });
	}
	const bad = [`${longest}x`, "spiffe://a.test", "spiffe://a.test/", "spiffe://A.test/x", "spiffe://a.test/../x"];
	for (const id of [...bad, `spiffe://${"a".repeat(256)}/x`, "spiffe://a.test/x?y", "https://a.test/x"])
		t.equal(await signer(id), "the certificate is no SVID", id.slice(0, 60));
});

t.test("CA certificates sign, and leaf certificates identify", async (t) => {
	const name = [{ type: "url", value: "spiffe://a.test/x" }] as const;
	const certificates = (...pems: readonly { certificate: string }[]) =>
		pems.map(({ certificate }) => new X509Certificate(certificate));
	const idOf = (chain: readonly X509Certificate[], root: { certificate: string }) =>
		signerOf(
			chain.map(({ raw }) => raw),
			certificates(root),
		);
	const root = await oddCa();
	const [between, pretended] = [await oddCa({ parent: root }), await oddCa({ parent: root, isCa: false })];
	t.match(idOf(certificates(await between.issue(name), between), root), { spiffeId: name[0].value });
	const mixed = "the chain mixes up authorities and others";
	t.equal(idOf(certificates(await pretended.issue(name), pretended), root), mixed, "a leaf that signs");
	t.equal(idOf(certificates(await oddCa({ parent: root, names: name })), root), mixed, "an authority that speaks");
	const own = await oddCa({ isCa: false });
	t.equal(idOf(certificates(await own.issue(name)), own), "the chain is not trusted", "a root that is no authority");
});

/** Tokens of a certified provider (oidc-provider) in this process: at+jwt with DPoP, and its own JWKS. */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK } from "jose";
import Provider from "oidc-provider";
import t from "tap";
import { TokenVerifier } from "../../../src/trust/tokens/verifier.js";
import { createDevelopmentCa } from "../identity/developmentCa.js";
import { AUDIENCE, asked, issuerOf, keyPair, proofOf } from "./issuer.js";

const SECRET = "a-secret-of-the-test";

t.test("access tokens of oidc-provider are valid only with their DPoP proof", async (t) => {
	const directory = await mkdtemp(join(tmpdir(), "weir-oidc-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const own = await ca.issue({ spiffeId: "spiffe://weir.test/issuer", dnsNames: ["localhost"] });
	const caFile = join(directory, "ca.pem");
	await writeFile(caFile, ca.certificate);
	const server = createServer({ cert: own.certificate, key: own.privateKey });
	await once(server.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
	const signing = await keyPair("ES256");
	const provider = new Provider(issuer, {
		jwks: { keys: [{ ...(await exportJWK(signing.privateKey)), kid: "p1", alg: "ES256", use: "sig" }] },
		clients: [
			{
				client_id: "batch",
				client_secret: SECRET,
				id_token_signed_response_alg: "ES256",
				grant_types: ["client_credentials"],
				redirect_uris: [],
				response_types: [],
			},
		],
		scopes: ["infer"],
		cookies: { keys: ["unused"] },
		features: {
			devInteractions: { enabled: false },
			clientCredentials: { enabled: true },
			dPoP: { enabled: true, nonceSecret: Buffer.alloc(32), requireNonce: () => false },
			resourceIndicators: {
				enabled: true,
				defaultResource: () => AUDIENCE,
				getResourceServerInfo: () => ({
					scope: "infer",
					audience: AUDIENCE,
					accessTokenTTL: 300,
					accessTokenFormat: "jwt",
					jwt: { sign: { alg: "ES256" } },
				}),
			},
		},
	});
	server.on("request", provider.callback());

	const holder = await keyPair();
	const now = (): number => Math.floor(Date.now() / 1_000);
	const tokenOf = async (dpop: string | null): Promise<string> => {
		const authorization = `Basic ${Buffer.from(`batch:${SECRET}`).toString("base64")}`;
		const form = "grant_type=client_credentials&scope=infer";
		const answer = await new Promise<string>((resolve, reject) => {
			const headers = {
				authorization,
				"content-type": "application/x-www-form-urlencoded",
				...(dpop === null ? {} : { dpop }),
			};
			request(`${issuer}/token`, { method: "POST", headers, ca: ca.certificate, agent: false }, (response) => {
				let text = "";
				response.setEncoding("utf8");
				response.on("data", (more: string) => {
					text += more;
				});
				response.on("end", () => resolve(text));
			})
				.on("error", reject)
				.end(form);
		});
		const { access_token: token } = JSON.parse(answer) as { access_token?: string };
		if (token === undefined) throw new Error(answer);
		return token;
	};
	const atTokenEndpoint = { htm: "POST", htu: `${issuer}/token`, iat: now(), ath: undefined };
	const bound = await tokenOf(await proofOf(holder, "", { claims: atTokenEndpoint }));
	const plain = await tokenOf(null);

	const declared = issuerOf({
		issuer,
		profile: "at+jwt",
		keys: { from: "url", url: `${issuer}/jwks`, caFile },
		groupsClaim: "scope",
	});
	const verifierOf = (binding: "none" | "dpop"): TokenVerifier => {
		const verifier = new TokenVerifier();
		verifier.use([{ name: "gw", issuers: [{ ...declared, binding }] }]);
		return verifier;
	};
	const proof = (): Promise<string> => proofOf(holder, bound, { claims: { iat: now() } });
	const withProof = async () => asked(null, { authorization: [`DPoP ${bound}`], dpop: [await proof()] });
	const dpop = verifierOf("dpop");
	t.match(await dpop.verify(await withProof()), { token: { issuer, subject: "batch", groups: ["infer"] } });
	t.match(await dpop.verify(await withProof()), { token: { subject: "batch" } }, "known, with a new proof");
	t.match(await dpop.verify(asked(bound)), { refused: "invalid-token" }, "as Bearer");
	t.match(await dpop.verify(asked(plain)), { refused: "invalid-token" }, "not bound");
	const none = verifierOf("none");
	t.match(await none.verify(asked(plain)), { token: { subject: "batch" } });
	t.match(await none.verify(asked(bound)), { refused: "invalid-token" });
});

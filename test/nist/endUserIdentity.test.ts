/**
 * NIST SP 800-207A, point 4: end-user identity and authentication. Beside the calling service its user proves itself by a
 * token; an invalid one is refused whatever the rules allow, and without one there is no user.
 */
import { join } from "node:path";
import t from "tap";
import { temporaryDirectory } from "../cli/command.js";
import { bearer, ISSUER, provider, tokensYaml } from "./endUser.js";
import { APP, startScene } from "./scene.js";

t.setTimeout(180_000);

t.test("the user is the subject of a verified token", async (t) => {
	const idp = await provider(join(await temporaryDirectory(t), "jwks.json"));
	const scene = await startScene(t, {
		gateway: tokensYaml(idp.jwksFile),
		documents: () => `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: alice-through-app}
spec: {action: allow, services: [model], principals: ["${APP}"], users: ["${ISSUER}#alice"]}
---`,
	});
	const ask = async (token: string | null, as: "app" | "unauthorised" = "app") =>
		scene.ask({ as, headers: token === null ? {} : bearer(token) });
	const good = await ask(await idp.token({ sub: "alice" }));
	t.equal(good.status, 200, good.text);
	t.equal((await ask(null)).status, 403, "without a token there is no user");
	t.equal((await ask(await idp.token({ sub: "bob" }))).status, 403, "another user");
	t.equal((await ask(await idp.token({ sub: "alice" }), "unauthorised")).status, 403, "through another service");
	const refused: readonly (readonly [string, string])[] = [
		["signed by another key", await idp.forger.token({ sub: "alice" })],
		["expired", await idp.token({ sub: "alice" }, { expiresIn: -120 })],
		["for another audience", await idp.token({ sub: "alice" }, { audience: "other" })],
		[
			"tampered with",
			(await idp.token({ sub: "bob" })).replace(
				/\.[^.]+\./,
				`.${Buffer.from('{"sub":"alice"}').toString("base64url")}.`,
			),
		],
		["no token at all", "nonsense"],
	];
	for (const [what, token] of refused) {
		const answer = await ask(token);
		t.equal(answer.status, 401, what);
		t.ok(answer.headers["www-authenticate"], `${what}: the challenge is present`);
	}
});

/** Two Authorization headers at the API are refused: another reader could use the other one. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import t from "tap";
import { file } from "../employment.js";
import { mutualApi } from "../mutualApi.js";

t.test("a second Authorization header is refused, even if one of them is valid", async (t) => {
	const asked: string[] = [];
	const tokens = async (authorization: string) => {
		asked.push(authorization);
		return authorization === "Bearer good" ? { subject: "https://issuer.example#ada", groups: [] } : { refused: "no" };
	};
	const { ca, api, owner } = await mutualApi(t, { tokens });
	const role = `apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: ada}
spec: {verbs: [read], subjects: ["https://issuer.example#ada"], namespaces: [default]}
`;
	await owner.apply(file(role), { dryRun: false });
	const ask = async (...authorization: readonly string[]): Promise<readonly [number, string]> => {
		const options = { ca: ca.certificate, checkServerIdentity: () => undefined, agent: false };
		const headers = ["host", "127.0.0.1", ...authorization.flatMap((one) => ["authorization", one])];
		const call = request(new URL("/v1/status", api.url), { ...options, headers }).end();
		const [answer] = (await once(call, "response")) as [IncomingMessage];
		return [answer.statusCode ?? 0, await text(answer)];
	};
	t.equal((await ask("Bearer good"))[0], 200);
	asked.length = 0;
	for (const two of [
		["Bearer good", "Bearer bad"],
		["Bearer bad", "Bearer good"],
		["Bearer good", "Bearer good"],
	]) {
		const [status, body] = await ask(...two);
		t.equal(status, 403);
		t.match(body, /more than one Authorization header/);
	}
	t.same(asked, [], "and neither is judged");
});

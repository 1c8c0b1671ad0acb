/** Publication that stands still behind the state is told: by readiness and by status, whatever xds says of itself. */
import t from "tap";
import { PUBLICATION_LAG_MS } from "../../../src/limits/index.js";
import { StateClient } from "../../../src/operate/api/client.js";
import { Publication } from "../../../src/operate/state/publication.js";
import { METRIC } from "./employment.js";
import { mutualApi, operator } from "./mutualApi.js";

t.test("lag counts from the time publication stops, and only if an xds has published", async (t) => {
	let revision = 3;
	let nowMs = 0;
	const publication = new Publication(
		() => revision,
		() => nowMs,
	);
	const lag = (afterMs: number): string | null => {
		nowMs += afterMs;
		return publication.lag();
	};
	t.equal(lag(PUBLICATION_LAG_MS * 2), null, "no xds was ever here");
	publication.told(0);
	t.equal(lag(PUBLICATION_LAG_MS), "state revision 3, nothing published for 5 s");
	publication.told(3);
	t.equal(lag(PUBLICATION_LAG_MS * 2), null);
	revision = 4;
	t.equal(lag(0), null);
	t.equal(lag(PUBLICATION_LAG_MS - 1), null, "a plan may be on its way");
	t.equal(lag(1_001), "state revision 4, published 3 for 6 s");
	revision = 9;
	t.equal(lag(1_000), "state revision 9, published 3 for 7 s", "newer changes start no new count");
	publication.told(3);
	t.equal(lag(0), "state revision 9, published 3 for 7 s", "nor does the same again");
	publication.told(8);
	t.equal(lag(0), null, "it moves");
	t.equal(lag(PUBLICATION_LAG_MS), "state revision 9, published 8 for 5 s");
	publication.told(9);
	t.equal(lag(PUBLICATION_LAG_MS), null);
	publication.told(0);
	t.equal(lag(PUBLICATION_LAG_MS), "state revision 9, nothing published for 5 s", "an xds that starts anew");
});

t.test("readiness and status say it", async (t) => {
	let nowMs = 0;
	let current = (): number => 0;
	const publication = new Publication(
		() => current(),
		() => nowMs,
	);
	const { api, owner, store, as } = await mutualApi(t, { publication, admins: [operator("ann")] });
	current = () => store.current.revision;
	const xds = new StateClient(api.socket);
	await xds.published(0);
	await owner.apply([{ name: "m.yaml", text: METRIC }], { dryRun: false });
	publication.lag();
	t.match(await owner.raw("GET", "/readyz"), { status: 200 });
	t.equal((await owner.status()).lag, null);
	nowMs += 7_000;
	const words = "state revision 1, nothing published for 7 s";
	t.match(await owner.raw("GET", "/readyz"), { status: 503, text: `${words}\n` });
	t.equal((await (await as("ann")).status()).lag, words);
	await xds.published(1);
	t.match(await owner.raw("GET", "/readyz"), { status: 200, text: "ready\n" });
	t.equal((await owner.status()).lag, null);
});

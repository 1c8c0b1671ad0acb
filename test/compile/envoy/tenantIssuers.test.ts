/** The newest Envoy enforces a limit of tenants for any number of issuers; test/long has the other versions. */
import t from "tap";
import { HELD, heldTenants } from "./tenantIssuers.js";

t.test("a limit of tenants holds with one issuer and with the maximum", { timeout: 120_000 }, async (t) => {
	t.same(await heldTenants(t, undefined), HELD);
});

/** The newest Envoy holds a limit of tenants, however many issuers a Gateway may have; test/long asks the other tested ones. */
import t from "tap";
import { HELD, heldTenants } from "./tenantIssuers.js";

t.test("a limit of tenants holds with one issuer and with as many as may be", { timeout: 120_000 }, async (t) => {
	t.same(await heldTenants(t, undefined), HELD);
});

/** Stored references without effect, because another namespace revoked a grant or changed a DataClass. Pure. */

import type { Resource, ResourceSet } from "../resource.js";
import { servicesWithoutEndpoints } from "./dataClass.js";
import { revokedReferences } from "./reference.js";

/** As text for readers of the resource's namespace. */
export const withoutEffect = (
	set: ResourceSet,
): readonly { readonly resource: Resource; readonly message: string }[] => [
	...revokedReferences(set),
	...servicesWithoutEndpoints(set),
];

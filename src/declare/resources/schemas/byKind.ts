/** The schema of each kind. */
import type { z } from "zod";
import type { Kind, Resource } from "../resource.js";
import { accessPolicySchema } from "./accessPolicy.js";
import { dataClassSchema } from "./dataClass.js";
import { experimentSchema } from "./experiment.js";
import { gatewaySchema } from "./gateway.js";
import { layerSchema } from "./layer.js";
import { metricSchema } from "./metric.js";
import { approvalPolicySchema, roleBindingSchema } from "./operators.js";
import { referenceGrantSchema } from "./referenceGrant.js";
import { serviceSchema } from "./service.js";

export const SCHEMAS: Readonly<Record<Kind, z.ZodType<Resource>>> = {
	Gateway: gatewaySchema,
	Service: serviceSchema,
	Layer: layerSchema,
	Experiment: experimentSchema,
	Metric: metricSchema,
	AccessPolicy: accessPolicySchema,
	DataClass: dataClassSchema,
	ReferenceGrant: referenceGrantSchema,
	RoleBinding: roleBindingSchema,
	ApprovalPolicy: approvalPolicySchema,
};

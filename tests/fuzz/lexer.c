/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON: what the lexer accepts cJSON accepts too, as one object that ends where the
 * lexer says. */
#include <fairlead/trust/json.h>

#include <cjson/cJSON.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing in the tree may be what the profile forbids. */
static void check_item(const cJSON *item, int depth)
{
	FL_BUG_ON(depth > 16);
	FL_BUG_ON(cJSON_IsNull(item) || cJSON_IsInvalid(item) || cJSON_IsRaw(item));
	FL_BUG_ON(cJSON_IsNumber(item) &&
		  !(item->valuedouble >= 0 && item->valuedouble <= 9007199254740991.0));
	for (const cJSON *child = item->child; child != NULL; child = child->next) {
		FL_BUG_ON(cJSON_IsObject(item) &&
			  cJSON_GetObjectItemCaseSensitive(item, child->string) != child);
		check_item(child, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_err err = {0};
	enum fl_rc rc = fl_json_check(data, size, &err);
	if (rc != FL_OK) {
		FL_BUG_ON(rc != FL_E_DOC_SYNTAX || err.msg[0] == '\0');
		return 0;
	}
	const char *end = NULL;
	cJSON *root = cJSON_ParseWithLengthOpts((const char *)data, size, &end, 0);
	FL_BUG_ON(root == NULL || !cJSON_IsObject(root));
	for (const char *p = end; p < (const char *)data + size; p++)
		FL_BUG_ON(*p == '\0' || strchr(" \t\r\n", *p) == NULL);
	check_item(root, 0);
	cJSON_Delete(root);
	return 0;
}

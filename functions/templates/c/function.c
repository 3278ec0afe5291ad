// Greets whoever the body names, and counts its calls. The names that begin with `exports_` and `starbelt_` are what
// `starbelt fn build` makes of wit/ as a header: see target/contract/function.h.

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "function.h"

typedef exports_starbelt_function_handler_request_t request_t;
typedef exports_starbelt_function_handler_fault_t fault_t;

// Who is greeted where the body names nobody, as in a run that a timer starts.
static const char EVERYBODY[] = "world";
// Longest name that is greeted, in bytes.
enum { NAME_BYTES_MAX = 64 };

// Counts this call in lasting state; function.toml grants the key. What is written here lasts if the call succeeds.
static bool count_call(uint64_t *count, fault_t *fault) {
  function_string_t key;
  function_string_set(&key, "calls");
  starbelt_function_state_option_versioned_t last;
  if (!starbelt_function_state_get(&key, &last, fault)) {
    return false;
  }
  uint64_t version = 0;
  *count = 0;
  if (last.is_some) {
    version = last.val.version;
    if (last.val.value.len == sizeof *count) {
      memcpy(count, last.val.value.ptr, sizeof *count);
    }
    starbelt_function_state_option_versioned_free(&last);
  }
  *count += 1;
  uint8_t bytes[sizeof *count];
  memcpy(bytes, count, sizeof bytes);
  function_list_u8_t value = {bytes, sizeof bytes};
  uint64_t coming;
  return starbelt_function_state_put(&key, &value, &version, &coming, fault);
}

bool exports_starbelt_function_handler_handle(request_t *request, function_list_u8_t *answer, fault_t *fault) {
  char name[NAME_BYTES_MAX + 1];
  size_t len = request->body.len;
  if (NAME_BYTES_MAX < len) {
    exports_starbelt_function_handler_request_free(request);
    fault->tag = STARBELT_FUNCTION_TYPES_FAULT_BAD_INPUT;
    function_string_dup(&fault->val.bad_input, "a name has at most 64 bytes");
    return false;
  }
  if (len == 0) {
    memcpy(name, EVERYBODY, sizeof EVERYBODY);
  } else {
    memcpy(name, request->body.ptr, len);
    name[len] = 0;
  }
  exports_starbelt_function_handler_request_free(request);

  uint64_t count;
  if (!count_call(&count, fault)) {
    return false;
  }
  // What is printed is logged.
  printf("call %" PRIu64 ", for %s\n", count, name);
  fflush(stdout);

  size_t room = sizeof name + 64;
  char *text = malloc(room);
  if (text == NULL) {
    fault->tag = STARBELT_FUNCTION_TYPES_FAULT_TOO_LARGE;
    return false;
  }
  answer->ptr = (uint8_t *)text;
  answer->len = (size_t)snprintf(text, room, "hello, %s; this is call %" PRIu64 "\n", name, count);
  return true;
}

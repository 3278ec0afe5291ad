// Removes speckles from a thermal image: a pixel becomes the median of the 3 by 3 pixels around it. Hot pixels of a
// sensor go, edges stay. A function in C: the names that begin with `exports_` and `function_` are what `wit-bindgen`
// makes of functions/wit when it is built.

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "function.h"

typedef exports_starbelt_function_handler_request_t request_t;
typedef exports_starbelt_function_handler_fault_t fault_t;

enum {
  // Width and height before the pixels, two bytes each, little-endian.
  HEAD_BYTES = 4,
  // Longest side: the answer then has 4 MiB, half of what a body may have.
  SIDE_MAX = 2048,
  // A pixel and its neighbors.
  WINDOW = 9,
};

typedef struct {
  uint16_t width;
  uint16_t height;
  const uint8_t *pixels;
} image_t;

static bool bad_input(fault_t *fault, const char *why) {
  fault->tag = STARBELT_FUNCTION_TYPES_FAULT_BAD_INPUT;
  function_string_dup(&fault->val.bad_input, why);
  return false;
}

// Reads the body; the pixels stay where they are.
static bool read_image(const function_list_u8_t *body, image_t *image, fault_t *fault) {
  if (body->len < HEAD_BYTES) {
    return bad_input(fault, "no room for width and height");
  }
  image->width = (uint16_t)(body->ptr[0] | body->ptr[1] << 8);
  image->height = (uint16_t)(body->ptr[2] | body->ptr[3] << 8);
  image->pixels = body->ptr + HEAD_BYTES;
  char why[96];
  if (image->width == 0 || SIDE_MAX < image->width || image->height == 0 || SIDE_MAX < image->height) {
    snprintf(why, sizeof why, "%" PRIu16 "x%" PRIu16 " pixels, a side has 1 to %d", image->width, image->height, SIDE_MAX);
    return bad_input(fault, why);
  }
  size_t expected = (size_t)image->width * image->height;
  if (body->len - HEAD_BYTES != expected) {
    snprintf(why, sizeof why, "%zu bytes of pixels, %zu expected", body->len - HEAD_BYTES, expected);
    return bad_input(fault, why);
  }
  return true;
}

static int by_value(const void *a, const void *b) {
  return *(const uint8_t *)a - *(const uint8_t *)b;
}

// The nearest number from 0 to `end` exclusive: beyond the edge the image goes on as it ends.
static int within(int value, int end) {
  return value < 0 ? 0 : value < end ? value : end - 1;
}

static uint8_t median_at(const image_t *image, int x, int y) {
  uint8_t window[WINDOW];
  size_t count = 0;
  for (int dy = -1; dy <= 1; dy++) {
    for (int dx = -1; dx <= 1; dx++) {
      size_t row = (size_t)within(y + dy, image->height) * image->width;
      window[count++] = image->pixels[row + (size_t)within(x + dx, image->width)];
    }
  }
  qsort(window, WINDOW, 1, by_value);
  return window[WINDOW / 2];
}

// Writes the filtered pixels; answers how many changed.
static size_t despeckle(const image_t *image, uint8_t *to) {
  size_t changed = 0, at = 0;
  for (int y = 0; y < image->height; y++) {
    for (int x = 0; x < image->width; x++, at++) {
      to[at] = median_at(image, x, y);
      changed += to[at] != image->pixels[at];
    }
  }
  return changed;
}

// The function: the body is an image, the answer is one of the same size.
bool exports_starbelt_function_handler_handle(request_t *request, function_list_u8_t *answer, fault_t *fault) {
  image_t image;
  bool done = read_image(&request->body, &image, fault);
  if (done) {
    answer->len = request->body.len;
    answer->ptr = malloc(answer->len);
    if (answer->ptr == NULL) {
      fault->tag = STARBELT_FUNCTION_TYPES_FAULT_TOO_LARGE;
      done = false;
    } else {
      memcpy(answer->ptr, request->body.ptr, HEAD_BYTES);
      size_t changed = despeckle(&image, answer->ptr + HEAD_BYTES);
      printf("%" PRIu16 "x%" PRIu16 ": %zu pixels changed\n", image.width, image.height, changed);
      fflush(stdout);
    }
  }
  exports_starbelt_function_handler_request_free(request);
  return done;
}

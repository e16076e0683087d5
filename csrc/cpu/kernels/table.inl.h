// Every kernel of a level, for its table.
#pragma once
#include "cpu/kernels/bucket_scan.inl.h"
#include "cpu/kernels/distances.inl.h"
#include "cpu/kernels/extremes.inl.h"
#include "cpu/kernels/list_hits.inl.h"
#include "cpu/kernels/logistic.inl.h"
#include "cpu/kernels/pack.inl.h"
#include "cpu/kernels/relaxed_sign.inl.h"
#include "cpu/kernels/row_sums.inl.h"
#include "cpu/kernels/scan.inl.h"
#include "cpu/kernels/sliced_scan.inl.h"

namespace hashcore {
namespace {

template <class T>
constexpr LossKernels<T> make_loss_kernels() {
    return {logistic_sums<T>,   mark_similar<T>,      count_below<T>,         extremes<T>,
            pair_likelihood<T>, relaxed_sign_sums<T>, relaxed_sign_slopes<T>, correlate<T>};
}

template <class V>
constexpr KernelTable make_kernel_table() {
    return {V::name,
            distances<V>,
            scan<V>,
            table_words<V>,
            slice_queries<V>,
            scan_sliced<V>,
            scan_word_buckets<V>,
            scan_rest_buckets<V>,
            scan_rows<V>,
            drop_seen<V>,
            V::list_hits,
            pack_rows<V, float>,
            pack_rows<V, double>,
            pack_rows<V, int16_t>,
            pack_rows<V, int8_t>,
            nonzero_bits<V>,
            make_row_sum_kernels<V>(),
            make_loss_kernels<float>(),
            make_loss_kernels<double>()};
}

}  // namespace
}  // namespace hashcore

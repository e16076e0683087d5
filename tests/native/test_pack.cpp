// pack() and its inverse against one comparison a value, at every instruction-set level.
#include <cmath>
#include <limits>
#include <sstream>

#include "check.h"
#include "hashcore/runtime.h"
#include "reference.h"

namespace hashcore::test {
namespace {

double value_of(float value) {
    return value;
}
double value_of(double value) {
    return value;
}
double value_of(int8_t value) {
    return value;
}
/// IEEE 754 binary16, from its definition.
double value_of(Half half) {
    const int exponent = (half.bits >> 10) & 0x1F;
    const int fraction = half.bits & 0x3FF;
    const double sign = (half.bits & 0x8000) != 0 ? -1.0 : 1.0;
    if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
    if (exponent == 0) return sign * std::ldexp(fraction, -24);
    return sign * std::ldexp(1024 + fraction, exponent - 25);
}

/// Mostly ordinary values, with the ends of the type and values next to the threshold among them.
template <class Scalar>
Scalar draw_value(Rng& rng, double threshold) {
    if constexpr (std::is_same_v<Scalar, int8_t>) {
        return static_cast<int8_t>(draw(rng, -1, 1));
    } else if constexpr (std::is_same_v<Scalar, Half>) {
        const auto bits = static_cast<uint16_t>(draw(rng, 0, 0xFFFF));
        return std::isnan(value_of(Half{bits})) ? Half{0x3C00} : Half{bits};
    } else {
        using Limits = std::numeric_limits<Scalar>;
        const auto at = static_cast<Scalar>(threshold);
        switch (draw(rng, 0, 15)) {
            case 0:
                return at;
            case 1:
                return std::nextafter(at, Limits::infinity());
            case 2:
                return std::nextafter(at, -Limits::infinity());
            case 3:
                return Scalar{-0.0};
            case 4:
                return Limits::denorm_min();
            case 5:
                return -Limits::denorm_min();
            case 6:
                return Limits::infinity();
            case 7:
                return Limits::lowest();
            default:
                return static_cast<Scalar>(std::normal_distribution<double>()(rng));
        }
    }
}

template <class Scalar>
void check(const std::vector<Scalar>& values, int64_t count, int64_t bits, double threshold) {
    int64_t first_nan = -1;
    Codes expected(count, bits);
    for (int64_t i = 0; i < count * bits && first_nan < 0; ++i) {
        const double value = value_of(values[static_cast<size_t>(i)]);
        if (std::isnan(value)) first_nan = i;
        if (value > threshold) expected.flip(i / bits, i % bits);
    }
    for (const std::string& level : isa_levels()) {
        force_isa(level);
        std::vector<uint8_t> packed(static_cast<size_t>(count * bytes_per_code(bits)), 0xA5);
        EXPECT(pack(values.data(), count, bits, threshold, packed.data(), nullptr) == first_nan);
        EXPECT(first_nan >= 0 || std::equal(packed.begin(), packed.end(), expected.row(0)));
    }
    force_isa("");

    std::vector<int8_t> bools(values.size()), signs(values.size());
    unpack(expected.view(), false, bools.data());
    unpack(expected.view(), true, signs.data());
    for (size_t i = 0; i < values.size() && first_nan < 0; ++i) {
        const bool set = value_of(values[i]) > threshold;
        EXPECT(bools[i] == (set ? 1 : 0));
        EXPECT(signs[i] == (set ? 1 : -1));
    }
}

template <class Scalar>
void run_case(const char* type, uint64_t seed, int64_t bits, int64_t count) {
    Rng rng(seed);
    constexpr double thresholds[] = {0.0, -0.0, 0.1, 1e-46, -1.5, 1e300, -INFINITY, INFINITY};
    const double threshold = thresholds[static_cast<size_t>(draw(rng, 0, 7))];
    std::vector<Scalar> values(static_cast<size_t>(count * bits));
    for (Scalar& value : values) value = draw_value<Scalar>(rng, threshold);
    std::ostringstream text;
    text << "seed " << seed << ", " << type << " [" << count << ", " << bits << "] > " << threshold;
    current_case = text.str();
    check(values, count, bits, threshold);
    if constexpr (!std::is_same_v<Scalar, int8_t>) {
        if (values.empty()) return;
        for (int64_t left = draw(rng, 1, 3); left > 0; --left) {
            Scalar& victim = values[static_cast<size_t>(draw(rng, 0, count * bits - 1))];
            if constexpr (std::is_same_v<Scalar, Half>)
                victim = Half{static_cast<uint16_t>(draw(rng, 0, 1) == 0 ? 0x7C01 : 0xFE00)};
            else
                victim = std::numeric_limits<Scalar>::quiet_NaN();
        }
        current_case += ", with NaN";
        check(values, count, bits, threshold);
    }
}

void check_every_half() {
    current_case = "every half";
    std::vector<Half> halves;
    for (uint32_t bits = 0; bits < 0x10000; ++bits)
        if (!std::isnan(value_of(Half{static_cast<uint16_t>(bits)})))
            halves.push_back(Half{static_cast<uint16_t>(bits)});
    const auto count = static_cast<int64_t>(halves.size());
    for (const double threshold : {0.0, 0.1, -65504.0, std::ldexp(1.0, -24)}) {
        check(halves, 1, count, threshold);
        check(halves, count, 1, threshold);
    }
}

/// Every bit past the width is found, and the first of them is.
void check_padding(int64_t bits, Rng& rng) {
    current_case = std::to_string(bits) + " bits, padding";
    Codes codes(20, bits);
    for (int64_t i = 0; i < codes.count(); ++i) randomize_row(codes, i, rng);
    EXPECT(find_pad_violation(codes.view()) == -1);
    for (int64_t pad = bits; pad < 8 * bytes_per_code(bits); ++pad) {
        Codes wrong = codes;
        wrong.flip(7, pad);
        wrong.flip(13, pad);
        EXPECT(find_pad_violation(wrong.view()) == 7);
    }
}

void check_wide_signs() {
    current_case = "signs";
    std::vector<int8_t> signs{-1, 0, 1, 1, 0, -1, 1, 1, 1};
    EXPECT(find_wide_sign(signs.data(), 9) == -1);
    EXPECT(find_wide_sign(signs.data(), 0) == -1);
    signs[8] = -2;
    EXPECT(find_wide_sign(signs.data(), 9) == 8);
    signs[4] = 2;
    EXPECT(find_wide_sign(signs.data(), 9) == 4);
}

int run(const Budget& budget) {
    Deck<int64_t> widths({1, 7, 8, 9, 15, 16, 31, 63, 64, 65, 100, 255, 256, 1000, 20'000}, 1);
    Deck<int64_t> counts({0, 1, 2, 7, 64, 501}, 2);
    check_every_half();
    check_wide_signs();
    uint64_t cases = 0;
    while (cases < widths.size() || budget.left()) {
        const int64_t bits = widths.deal();
        const int64_t count = std::min<int64_t>(counts.deal(), 1 + 60'000 / bits);
        ++cases;
        run_case<float>("float", cases, bits, count);
        run_case<double>("double", cases, bits, count);
        run_case<int8_t>("int8", cases, bits, count);
        run_case<Half>("half", cases, bits, count);
        Rng rng(cases);
        check_padding(bits, rng);
    }
    std::cout << cases << " cases at " << isa_levels().size() << " levels agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}

// Training losses and their derivatives against loops over triplets, pairs and values, at every
// instruction-set level.
#include <cmath>
#include <iostream>
#include <limits>
#include <sstream>
#include <tuple>

#include "check.h"
#include "hashcore/ops.h"
#include "hashcore/runtime.h"
#include "reference.h"

namespace hashcore::test {
namespace {

template <class Scalar>
constexpr double tolerance = std::is_same_v<Scalar, float> ? 2e-4 : 1e-9;

template <class Scalar>
void expect_near(double found, double expected) {
    EXPECT(std::abs(found - expected) <= tolerance<Scalar> * (1 + std::abs(expected)));
}

template <class Scalar>
std::vector<Scalar> draw_values(Rng& rng, int64_t count, double scale) {
    std::normal_distribution<double> normal(0, scale);
    std::vector<Scalar> values(static_cast<size_t>(count));
    for (Scalar& value : values) value = static_cast<Scalar>(normal(rng));
    return values;
}

/// Sets of up to 64 * words labels; few of each row are there.
std::vector<uint64_t> draw_labels(Rng& rng, int64_t rows, int64_t words) {
    std::vector<uint64_t> labels(static_cast<size_t>(rows * words));
    for (uint64_t& word : labels) word = draw(rng, 0, 2) == 0 ? 0 : 1ULL << draw(rng, 0, 5);
    return labels;
}

int shared_labels(const uint64_t* a, const uint64_t* b, int64_t words) {
    int count = 0;
    for (int64_t w = 0; w < words; ++w) count += std::popcount(a[w] & b[w]);
    return count;
}

double softplus(double x) {
    return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}
double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

/// Calls body at every level with one thread and with three, and expects the same of each.
template <class Body>
void at_every_level(const Body& body) {
    const auto first = body(1);
    for (const std::string& level : isa_levels()) {
        force_isa(level);
        EXPECT(body(1) == first);
        EXPECT(body(3) == first);
    }
    force_isa("");
}

struct Triplet {
    size_t positive, negative;
    double weight;
};

/// The candidates of one anchor; what is left out has a negative number of shared labels.
struct Candidates {
    std::vector<double> distance;
    std::vector<int> shared;

    size_t size() const { return distance.size(); }

    double ideal_gain() const {
        std::vector<int> order = shared;
        std::sort(order.rbegin(), order.rend());
        double sum = 0;
        for (size_t i = 0; i < order.size(); ++i)
            sum += (std::exp2(std::max(order[i], 0)) - 1) / std::log2(static_cast<double>(i) + 2);
        return sum;
    }

    std::vector<Triplet> triplets(const TripletRule& rule) const {
        std::vector<Triplet> all;
        const double ideal = ideal_gain();
        for (size_t p = 0; p < size(); ++p)
            for (size_t n = 0; n < size(); ++n) {
                if (shared[p] <= 0 || shared[n] < 0) continue;
                if (rule.graded ? shared[n] >= shared[p] : shared[n] > 0) continue;
                const double gain = std::exp2(shared[p]) - std::exp2(shared[n]);
                all.push_back({p, n, rule.weighted ? gain / ideal : 1});
            }
        return all;
    }

    double excess(const Triplet& t) const { return distance[t.positive] - distance[t.negative]; }

    /// Whether `a` is taken before `b` by hard mining: the rule of hashcore/ops.h in its words.
    bool is_harder(const Triplet& a, const Triplet& b, bool graded) const {
        const auto key = [this](const Triplet& t) {
            return std::tuple(-distance[t.positive], t.positive, distance[t.negative], t.negative);
        };
        if (!graded || shared[a.positive] == shared[b.positive]) return key(a) < key(b);
        if (excess(a) != excess(b)) return excess(a) > excess(b);
        return shared[a.positive] > shared[b.positive];
    }

    std::vector<Triplet> mined(const TripletRule& rule) const {
        std::vector<Triplet> kept;
        for (const Triplet& t : triplets(rule)) {
            if (rule.mining == Mining::semi_hard && excess(t) >= 0) continue;
            const auto rival = std::find_if(kept.begin(), kept.end(), [&](const Triplet& other) {
                if (rule.mining == Mining::hard)  // of its number of labels, for now
                    return !rule.graded || shared[other.positive] == shared[t.positive];
                return rule.mining == Mining::semi_hard && other.positive == t.positive;
            });
            if (rival == kept.end())
                kept.push_back(t);
            else if (rule.mining == Mining::hard ? is_harder(t, *rival, rule.graded)
                                                 : distance[t.negative] < distance[rival->negative])
                *rival = t;
        }
        if (rule.mining == Mining::hard && !kept.empty())
            kept = {*std::min_element(kept.begin(), kept.end(), [&](const auto& a, const auto& b) {
                return is_harder(a, b, rule.graded);
            })};
        return kept;
    }
};

template <class Scalar>
void check_triplets(Rng& rng, const TripletRule& rule) {
    const int64_t columns = draw(rng, 1, 40);
    const bool inside = draw(rng, 0, 2) == 0;
    const bool squared = draw(rng, 0, 1) == 0;
    const int64_t first = inside ? draw(rng, 0, columns - 1) : 0;
    const int64_t rows = inside ? draw(rng, 1, columns - first) : draw(rng, 0, 30);
    const int64_t words = draw(rng, 1, 2);
    auto products = draw_values<Scalar>(rng, rows * columns, 1);
    // Some are equal. Squared distances stay far from 0, where they are cut off.
    for (size_t i = 3; i < products.size(); i += 3) products[i] = products[i - 3];
    std::vector<Scalar> row_squares(static_cast<size_t>(rows), 9);
    std::vector<Scalar> column_squares(static_cast<size_t>(columns), 4);
    const auto anchors = draw_labels(rng, rows, words);
    const auto candidates = draw_labels(rng, columns, words);

    TripletSums sums{};
    auto slopes = products;
    std::vector<int64_t> hard_columns(static_cast<size_t>(2 * rows));
    std::vector<Scalar> hard_slopes(hard_columns.size());
    at_every_level([&](int threads) {
        slopes = products;
        const ProductBlock<Scalar> block{slopes.data(),
                                         rows,
                                         columns,
                                         squared ? row_squares.data() : nullptr,
                                         squared ? column_squares.data() : nullptr,
                                         inside ? first : -1};
        sums = mine_triplets(block, {anchors.data(), words}, {candidates.data(), words}, rule,
                             {hard_columns.data(), hard_slopes.data()}, true, threads);
        if (rule.mining == Mining::hard) {
            std::fill(slopes.begin(), slopes.end(), Scalar{0});
            for (size_t i = 0; i < hard_columns.size(); ++i)
                slopes[i / 2 * static_cast<size_t>(columns) +
                       static_cast<size_t>(hard_columns[i])] += hard_slopes[i];
        }
        return std::tuple(sums.loss, sums.weight, sums.triplets, sums.counted, slopes);
    });

    double loss = 0, weight = 0;
    int64_t triplets = 0, counted = 0;
    for (int64_t row = 0; row < rows; ++row) {
        const auto width = static_cast<size_t>(columns);
        const Scalar* own = products.data() + row * columns;
        Candidates beside{std::vector<double>(width), std::vector<int>(width)};
        for (size_t i = 0; i < width; ++i) {
            beside.distance[i] = squared ? Scalar{13} - 2 * own[i] : -own[i];
            beside.shared[i] =
                shared_labels(anchors.data() + row * words,
                              candidates.data() + static_cast<int64_t>(i) * words, words);
            if (inside && static_cast<int64_t>(i) == first + row) beside.shared[i] = -1;
        }
        for (const Triplet& t : beside.triplets(rule)) {
            weight += t.weight;
            ++triplets;
        }
        std::vector<double> expected(width);
        for (const Triplet& t : beside.mined(rule)) {
            const double x = rule.margin + beside.excess(t);
            const bool is_hinge = rule.penalty == Penalty::hinge;
            const double slope = t.weight * (is_hinge ? (x > 0 ? 1 : 0) : sigmoid(x));
            loss += t.weight * (is_hinge ? std::max(x, 0.0) : softplus(x));
            counted += !is_hinge || x > 0 ? 1 : 0;
            expected[t.positive] += slope;
            expected[t.negative] -= slope;
        }
        for (size_t i = 0; i < width; ++i)
            expect_near<Scalar>(slopes[static_cast<size_t>(row) * width + i], expected[i]);
    }
    expect_near<Scalar>(sums.loss, loss);
    expect_near<Scalar>(sums.weight, weight);
    EXPECT(sums.triplets == triplets);
    // Rounding may decide whether a float triplet at its margin costs anything.
    EXPECT(std::abs(sums.counted - counted) <= (std::is_same_v<Scalar, float> ? 2 : 0));
}

template <class Scalar>
void check_product_that_is_not_finite(Rng& rng, const TripletRule& rule) {
    auto products = draw_values<Scalar>(rng, 15, 1);
    products[7] = draw(rng, 0, 1) == 0 ? std::numeric_limits<Scalar>::quiet_NaN()
                                       : std::numeric_limits<Scalar>::infinity();
    const std::vector<uint64_t> anchors{1, 1, 1}, candidates{1, 1, 2, 2, 3};
    const ProductBlock<Scalar> block{products.data(), 3, 5, nullptr, nullptr, -1};
    int64_t hard_columns[6];
    Scalar hard_slopes[6];
    const TripletSums sums = mine_triplets(block, {anchors.data(), 1}, {candidates.data(), 1}, rule,
                                           {hard_columns, hard_slopes}, true, 1);
    EXPECT(std::isnan(sums.loss));
    if (rule.mining == Mining::hard)
        for (size_t i = 0; i < 6; ++i) EXPECT(std::isnan(hard_slopes[i]) == (i / 2 == 1));
    else
        for (size_t i = 0; i < 15; ++i) EXPECT(std::isnan(products[i]) == (i / 5 == 1));
}

template <class Scalar>
void check_likelihood(Rng& rng) {
    const int64_t rows = draw(rng, 0, 20), columns = draw(rng, 1, 50), words = draw(rng, 1, 2);
    const double scale = 0.5;
    const auto products = draw_values<Scalar>(rng, rows * columns, draw(rng, 0, 3) == 0 ? 100 : 2);
    const auto of_rows = draw_labels(rng, rows, words);
    const auto of_columns = draw_labels(rng, columns, words);
    double found = 0;
    auto slopes = products;
    at_every_level([&](int threads) {
        slopes = products;
        found = pairwise_likelihood(slopes.data(), rows, columns, {of_rows.data(), words},
                                    {of_columns.data(), words}, scale, threads);
        return std::tuple(found, slopes);
    });
    double expected = 0;
    for (int64_t i = 0; i < rows * columns; ++i) {
        const double theta = scale * products[static_cast<size_t>(i)];
        const bool is_similar = shared_labels(of_rows.data() + i / columns * words,
                                              of_columns.data() + i % columns * words, words) > 0;
        expected += softplus(theta) - (is_similar ? theta : 0);
        expect_near<Scalar>(slopes[static_cast<size_t>(i)], sigmoid(theta) - (is_similar ? 1 : 0));
    }
    expect_near<Scalar>(found, expected);
}

/// The penalty of one value, and its derivative by h.
std::pair<double, double> relaxation_of(double h, double t, const RelaxedSignRule& rule) {
    const double off = std::abs(h) - 1, outward = h > 0 ? 1 : (h < 0 ? -1 : 0);
    const double towards = outward * (off > 0 ? 1 : (off < 0 ? -1 : 0));
    switch (rule.relaxation) {
        case Relaxation::power_1:
            return {std::abs(off), towards};
        case Relaxation::power_2:
            return {off * off, 2 * std::abs(off) * towards};
        case Relaxation::power_3:
            return {std::abs(off * off * off), 3 * off * off * towards};
        case Relaxation::polarisation:
            return {std::max(0.0, rule.margin - h * t), rule.margin - h * t > 0 ? -t : 0};
    }
    return {};
}

template <class Scalar>
void check_relaxed_sign(Rng& rng, Relaxation relaxation) {
    constexpr int64_t widths[] = {1, 7, 16, 64, 100, 3000};
    const int64_t bits = widths[static_cast<size_t>(draw(rng, 0, 5))];
    const int64_t rows = draw(rng, 0, bits > 1000 ? 30 : 200);
    const RelaxedSignRule rule{relaxation, 0.8, draw(rng, 0, 1) == 0 ? 0 : 1.5};
    auto values = draw_values<Scalar>(rng, rows * bits, 1);
    for (size_t i = 0; i < values.size(); i += 5) values[i] = static_cast<Scalar>(draw(rng, -1, 1));
    const bool has_targets = draw(rng, 0, 1) == 0;
    std::vector<Scalar> targets(values.size());
    for (Scalar& target : targets) target = draw(rng, 0, 1) == 0 ? Scalar{-1} : Scalar{1};
    const Scalar* wanted = has_targets ? targets.data() : nullptr;
    const double size = std::max(1.0, static_cast<double>(values.size()));
    const RelaxedSignTerms of_terms{0.3 * size, 0.5 * size, 0.7 * size, 0.2 * size};

    std::vector<double> columns(static_cast<size_t>(bits), -1);
    RelaxedSignTerms terms{};
    const auto beside = draw_values<Scalar>(rng, rows * bits, 1);
    std::vector<Scalar> slopes(values.size()), kept(values), continued;
    at_every_level([&](int threads) {
        terms = relaxed_sign_terms(values.data(), wanted, rows, bits, rule, threads, kept.data(),
                                   columns.data());
        relaxed_sign_slopes(values.data(), wanted, rows, bits, rule, of_terms, columns.data(),
                            threads, false, slopes.data());
        continued = beside;
        relaxed_sign_slopes(kept.data(), wanted, rows, bits, rule, of_terms, columns.data(),
                            threads, true, continued.data());
        return std::tuple(terms.relaxation, terms.excess, terms.quantisation, terms.balance,
                          columns, slopes, kept, continued);
    });

    double relaxed = 0, excess = 0, quantised = 0;
    std::vector<double> in_columns(static_cast<size_t>(bits));
    for (size_t i = 0; i < values.size(); ++i) {
        const double u = values[i];
        const double h = rule.beta == 0 ? u : std::tanh(rule.beta * u);
        const double t = has_targets ? targets[i] : (h > 0 ? 1 : -1);
        const auto [penalty, slope] = relaxation_of(h, t, rule);
        const size_t column = i % static_cast<size_t>(bits);
        relaxed += penalty;
        excess += std::max(0.0, std::abs(h) - 1);
        quantised += (t - h) * (t - h);
        in_columns[column] += h;
        const double outside = std::abs(h) > 1 ? (h > 0 ? 1 : -1) : 0;
        const double by_h =
            0.3 * slope + 0.5 * outside + 0.7 * 2 * (h - t) + 0.2 * 2 * columns[column];
        const double of_h = rule.beta == 0 ? 1 : rule.beta * (1 - h * h);
        expect_near<Scalar>(slopes[i], by_h * of_h);
        expect_near<Scalar>(continued[i], (by_h + static_cast<double>(beside[i])) * of_h);
        expect_near<Scalar>(kept[i], h);
    }
    double balance = 0;
    for (size_t i = 0; i < columns.size(); ++i) {
        expect_near<Scalar>(columns[i], in_columns[i]);
        balance += in_columns[i] * in_columns[i];
    }
    expect_near<Scalar>(terms.relaxation, relaxed / size);
    expect_near<Scalar>(terms.excess, excess / size);
    expect_near<Scalar>(terms.quantisation, quantised / size);
    expect_near<Scalar>(terms.balance, balance / size);
}

template <class Scalar>
void check_correlation(Rng& rng) {
    constexpr int64_t widths[] = {1, 7, 16, 64, 300};
    const int64_t bits = widths[static_cast<size_t>(draw(rng, 0, 4))];
    const int64_t rows = draw(rng, 0, 50);
    const auto products = draw_values<Scalar>(rng, bits * bits, 10);
    std::vector<Scalar> found;
    double mean_square = 0;
    at_every_level([&](int threads) {
        found = products;
        mean_square = correlate(found.data(), rows, bits, threads);
        return std::tuple(mean_square, found);
    });
    double squares = 0;
    for (size_t i = 0; i < products.size(); ++i) {
        const bool on_diagonal = i % static_cast<size_t>(bits + 1) == 0;
        const double over_rows = products[i] / std::max(1.0, static_cast<double>(rows));
        const double expected = over_rows - (on_diagonal ? 1 : 0);
        squares += expected * expected;
        expect_near<Scalar>(found[i], expected);
    }
    expect_near<Scalar>(mean_square, squares / static_cast<double>(products.size()));
}

template <class Scalar>
void run_case(uint64_t seed, const TripletRule& rule, Relaxation relaxation) {
    Rng rng(seed);
    std::ostringstream text;
    text << "seed " << seed << ", " << sizeof(Scalar) << " bytes, mining "
         << static_cast<int>(rule.mining) << ", penalty " << static_cast<int>(rule.penalty)
         << ", graded " << rule.graded << ", weighted " << rule.weighted << ", relaxation "
         << static_cast<int>(relaxation);
    current_case = text.str();
    check_triplets<Scalar>(rng, rule);
    check_product_that_is_not_finite<Scalar>(rng, rule);
    check_likelihood<Scalar>(rng);
    check_relaxed_sign<Scalar>(rng, relaxation);
    check_correlation<Scalar>(rng);
}

int run(const Budget& budget) {
    std::vector<TripletRule> rules;
    for (const Mining mining : {Mining::all, Mining::hard, Mining::semi_hard})
        for (const Penalty penalty : {Penalty::hinge, Penalty::logistic})
            for (const int grade : {0, 1, 2})
                rules.push_back({mining, penalty, grade > 0, grade > 1, 0.3});
    Deck<TripletRule> deck(rules, 1);
    Deck<Relaxation> relaxations(
        {Relaxation::power_1, Relaxation::power_2, Relaxation::power_3, Relaxation::polarisation},
        2);
    uint64_t cases = 0;
    while (cases < 3 * deck.size() || budget.left()) {
        const TripletRule rule = deck.deal();
        const Relaxation relaxation = relaxations.deal();
        ++cases;
        run_case<float>(cases, rule, relaxation);
        run_case<double>(cases, rule, relaxation);
    }
    std::cout << cases << " cases at " << isa_levels().size() << " levels agree\n";
    return 0;
}

}  // namespace
}  // namespace hashcore::test

int main(int argc, char** argv) {
    return hashcore::test::run(hashcore::test::Budget(argc, argv));
}

{#- Sum over the rows that meet a condition; null when there is none. -#}
{% macro sum_where(value, condition, data_type) -%}
    cast(sum(case when {{ condition }} then {{ value }} end) as {{ data_type }})
{%- endmacro %}

{#- Mean power in kW of an energy over minutes; null without minutes. -#}
{% macro mean_power(kwh, minutes) -%}
    (cast({{ kwh }} as double) * 60 / nullif({{ minutes }}, 0))
{%- endmacro %}

{#- Sample standard deviation divided by the mean, from exact sums; null below `minimum_count` or at mean zero. -#}
{% macro variation(value_count, value_sum, squares_sum, minimum_count) -%}
    case
        when {{ value_count }} >= {{ minimum_count }}
            then sqrt(greatest(
                cast({{ squares_sum }} as double)
                - cast({{ value_sum }} as double) * cast({{ value_sum }} as double) / {{ value_count }},
                0
            ) / ({{ value_count }} - 1))
            / nullif(cast({{ value_sum }} as double) / {{ value_count }}, 0)
    end
{%- endmacro %}

{#- Mean of the `count` smallest of several non-null values. -#}
{% macro mean_of_smallest(values, count) -%}
    {{ adapter.dispatch('mean_of_smallest')(values, count) }}
{%- endmacro %}

{% macro duckdb__mean_of_smallest(values, count) -%}
    list_avg(list_sort(list_value({{ values | join(', ') }}))[1:{{ count }}])
{%- endmacro %}

{% macro spark__mean_of_smallest(values, count) -%}
    aggregate(slice(array_sort(array({{ values | join(', ') }})), 1, {{ count }}), 0e0, (a, x) -> a + x) / {{ count }}
{%- endmacro %}

{#- Position, counted from 0, of the first of the largest of several non-null values. -#}
{% macro position_of_maximum(values) -%}
    {{ adapter.dispatch('position_of_maximum')(values) }}
{%- endmacro %}

{% macro duckdb__position_of_maximum(values) -%}
    list_position(list_value({{ values | join(', ') }}), greatest({{ values | join(', ') }})) - 1
{%- endmacro %}

{% macro spark__position_of_maximum(values) -%}
    array_position(array({{ values | join(', ') }}), greatest({{ values | join(', ') }})) - 1
{%- endmacro %}

{#- Mean of several values; null as soon as one of them is. -#}
{% macro mean_of(values) -%}
    (({{ values | join(' + ') }}) / {{ values | length }})
{%- endmacro %}

{#- Part of a payment that settles a bill: nothing below zero, nothing above what was billed. -#}
{% macro capped_amount(paid_amount, billed_amount) -%}
    cast(greatest(least(coalesce({{ paid_amount }}, 0), {{ billed_amount }}), 0) as decimal(18, 2))
{%- endmacro %}

{#- Share in percent; null when the whole is zero or missing. Divided first: the whole of a whole is 100, not 100.00000000000001. -#}
{% macro percentage(part, whole) -%}
    (cast({{ part }} as double) / nullif(cast({{ whole }} as double), 0) * 100)
{%- endmacro %}

{#- Square of an energy, exact: the factors are widened so that a large customer's month does not overflow. -#}
{% macro squared(kwh) -%}
    {{ adapter.dispatch('squared')(kwh) }}
{%- endmacro %}

{% macro duckdb__squared(kwh) -%}
    cast(cast({{ kwh }} as decimal(19, 4)) * cast({{ kwh }} as decimal(19, 4)) as decimal(38, 8))
{%- endmacro %}

{#- Spark drops decimals of a product that may have more than 38 digits: two factors of 18 stay exact. -#}
{% macro spark__squared(kwh) -%}
    cast(cast({{ kwh }} as decimal(18, 4)) * cast({{ kwh }} as decimal(18, 4)) as decimal(38, 8))
{%- endmacro %}

{#- A double that rounding or a doubtful calendar may push over its limit. Null stays null, which `least` would not do. -#}
{% macro at_most(value, limit) -%}
    case when {{ value }} > {{ limit }} then cast({{ limit }} as double) else {{ value }} end
{%- endmacro %}

{#- Difference of two powers relative to their mean, from -2 to 2; null when one is missing or both are zero. -#}
{% macro relative_difference(value, reference) -%}
    2 * ({{ value }} - {{ reference }}) / nullif({{ value }} + {{ reference }}, 0)
{%- endmacro %}

{#-
    The largest energy of a group together with its time slot, as one integer: one maximum costs less than two, and the
    readings are many. Slots are below 100 and energies have four decimals; among equal ones the latest slot counts.
-#}
{% macro largest_with_slot(kwh, slot) -%}
    max(cast({{ kwh }} * 1000000 as bigint) + coalesce({{ slot }}, 0))
{%- endmacro %}

{#- Energy of what `largest_with_slot` returns. -#}
{% macro largest_of(largest) -%}
    (cast({{ integer_part(largest, 100) }} as decimal(18, 0)) / 10000)
{%- endmacro %}

{#- Slot of what `largest_with_slot` returns. -#}
{% macro slot_of_largest(largest) -%}
    cast({{ largest }} - 100 * {{ integer_part(largest, 100) }} as smallint)
{%- endmacro %}

{#- Quotient of large integers without its fraction. -#}
{% macro integer_part(dividend, divisor) -%}
    {{ adapter.dispatch('integer_part')(dividend, divisor) }}
{%- endmacro %}

{% macro duckdb__integer_part(dividend, divisor) -%}
    (({{ dividend }}) // {{ divisor }})
{%- endmacro %}

{% macro spark__integer_part(dividend, divisor) -%}
    (({{ dividend }}) div {{ divisor }})
{%- endmacro %}

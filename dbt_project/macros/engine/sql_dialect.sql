{#- Table expression with the integers from `first` to `last`, both included, in the column `column_name`. -#}
{% macro integer_series(first, last, column_name) -%}
    {{ adapter.dispatch('integer_series')(first, last, column_name) }}
{%- endmacro %}

{% macro duckdb__integer_series(first, last, column_name) -%}
    (select cast(unnest(range(cast({{ first }} as bigint), cast({{ last }} as bigint) + 1)) as integer) as {{ column_name }})
{%- endmacro %}

{% macro spark__integer_series(first, last, column_name) -%}
    (select explode(sequence(cast({{ first }} as int), cast({{ last }} as int))) as {{ column_name }})
{%- endmacro %}

{#- Value of the row with the largest `order_by`; among equal ones, that with the largest `then_by`. -#}
{% macro value_at_maximum(value, order_by, then_by) -%}
    {{ adapter.dispatch('value_at_maximum')(value, order_by, then_by) }}
{%- endmacro %}

{% macro duckdb__value_at_maximum(value, order_by, then_by) -%}
    arg_max({{ value }}, row({{ order_by }}, {{ then_by }}))
{%- endmacro %}

{% macro spark__value_at_maximum(value, order_by, then_by) -%}
    max_by({{ value }}, struct({{ order_by }}, {{ then_by }}))
{%- endmacro %}

{#- One hash over the texts of a group, independent of the order of rows. -#}
{% macro hash_of_group(text) -%}
    {{ adapter.dispatch('hash_of_group')(text) }}
{%- endmacro %}

{% macro duckdb__hash_of_group(text) -%}
    md5(coalesce(string_agg({{ text }}, '|' order by {{ text }}), ''))
{%- endmacro %}

{% macro spark__hash_of_group(text) -%}
    md5(concat_ws('|', array_sort(collect_list({{ text }}))))
{%- endmacro %}

{#- Keeps an engine from storing a step that is read twice; Spark never does. -#}
{% macro not_materialized() -%}
    {{ adapter.dispatch('not_materialized')() }}
{%- endmacro %}

{% macro duckdb__not_materialized() -%}
    not materialized
{%- endmacro %}

{% macro spark__not_materialized() -%}
{%- endmacro %}

{#-
    Joins of the next statements run as they are written: the left side streams, the right side is held in memory.
    DuckDB takes a Parquet scan that is pruned by its partitions for one row and would hold the readings instead,
    which costs six times as long. Spark decides by the size of the files and needs nothing.
-#}
{% macro keep_written_join_order() -%}
    {{ adapter.dispatch('keep_written_join_order')() }}
{%- endmacro %}

{% macro duckdb__keep_written_join_order() -%}
    set disabled_optimizers = 'join_order,build_side_probe_side'
{%- endmacro %}

{% macro spark__keep_written_join_order() -%}
{%- endmacro %}

{#- Gives the choice back to the engine. -#}
{% macro choose_join_order() -%}
    {{ adapter.dispatch('choose_join_order')() }}
{%- endmacro %}

{% macro duckdb__choose_join_order() -%}
    reset disabled_optimizers
{%- endmacro %}

{% macro spark__choose_join_order() -%}
{%- endmacro %}

{#- Quantile of the values of a group, interpolated between neighbours; null without a value. -#}
{% macro quantile(value, share) -%}
    {{ adapter.dispatch('quantile')(value, share) }}
{%- endmacro %}

{% macro duckdb__quantile(value, share) -%}
    quantile_cont({{ value }}, {{ share }})
{%- endmacro %}

{% macro spark__quantile(value, share) -%}
    percentile({{ value }}, {{ share }})
{%- endmacro %}

{#- A floating-point number, rounded half away from zero to some decimals in floating-point arithmetic. -#}
{% macro rounded(value, decimals) -%}
    {{ adapter.dispatch('rounded')(value, decimals) }}
{%- endmacro %}

{% macro duckdb__rounded(value, decimals) -%}
    round({{ value }}, {{ decimals }})
{%- endmacro %}

{#- Spark's own `round` goes by the digits that a number is written with: 0.575 becomes 0.58 there, and 0.57 here. -#}
{% macro spark__rounded(value, decimals) -%}
    (round(({{ value }}) * 1e{{ decimals }}D) / 1e{{ decimals }}D)
{%- endmacro %}

{#- A floating-point number as a decimal, rounded in floating-point arithmetic. -#}
{% macro double_as_decimal(value, precision, scale) -%}
    {{ adapter.dispatch('double_as_decimal')(value, precision, scale) }}
{%- endmacro %}

{% macro duckdb__double_as_decimal(value, precision, scale) -%}
    cast({{ value }} as decimal({{ precision }}, {{ scale }}))
{%- endmacro %}

{% macro spark__double_as_decimal(value, precision, scale) -%}
    cast({{ rounded(value, scale) }} as decimal({{ precision }}, {{ scale }}))
{%- endmacro %}

{#-
    Mean of the decimals of a group, as the floating-point number next to the quotient of their exact sum and count.
    Values have at most `scale` decimals.
-#}
{% macro mean_of_decimals(value, scale) -%}
    {{ adapter.dispatch('mean_of_decimals')(value, scale) }}
{%- endmacro %}

{% macro duckdb__mean_of_decimals(value, scale) -%}
    avg({{ value }})
{%- endmacro %}

{#- Spark's own `avg` of decimals is a decimal with four digits more. -#}
{% macro spark__mean_of_decimals(value, scale) -%}
    (
        cast(cast(sum({{ value }}) as decimal(27, {{ scale }})) * {{ 10 ** scale }} as double)
        / (count({{ value }}) * {{ 10 ** scale }}D)
    )
{%- endmacro %}

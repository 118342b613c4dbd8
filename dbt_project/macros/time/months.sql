{#-
    Months are integers inside the models (year * 12 + month - 1): windows are then subtractions and joins compare
    integers. Marts show them as the first day of the month.
-#}
{% macro month_number(date_or_timestamp) -%}
    cast(extract(year from {{ date_or_timestamp }}) * 12 + extract(month from {{ date_or_timestamp }}) - 1 as integer)
{%- endmacro %}

{% macro month_start(month_number) -%}
    make_date(
        {{ integer_quotient(month_number, 12) }},
        cast({{ month_number }} - 12 * {{ integer_quotient(month_number, 12) }} + 1 as integer),
        1
    )
{%- endmacro %}

{% macro integer_quotient(dividend, divisor) -%}
    {{ adapter.dispatch('integer_quotient')(dividend, divisor) }}
{%- endmacro %}

{% macro duckdb__integer_quotient(dividend, divisor) -%}
    cast(({{ dividend }}) // {{ divisor }} as integer)
{%- endmacro %}

{% macro spark__integer_quotient(dividend, divisor) -%}
    cast(({{ dividend }}) div {{ divisor }} as int)
{%- endmacro %}

{#-
    The as-of month at whose `as_of_at` a row counts for the first time: what became known up to `as_of_lag_days`
    after the end of a month still counts for that month.
-#}
{% macro known_month_number(known_at) -%}
    {{ month_number(add_days(local_timestamp(known_at), '-' ~ var('as_of_lag_days'))) }}
{%- endmacro %}

{% macro add_days(date_or_timestamp, days) -%}
    {{ dateadd('day', days, date_or_timestamp) }}
{%- endmacro %}

{% macro add_days_to_date(local_date, days) -%}
    cast({{ dateadd('day', days, local_date) }} as date)
{%- endmacro %}

{#- Last local day of a month. -#}
{% macro month_end(month_number) -%}
    {{ add_days_to_date(month_start('(' ~ month_number ~ ' + 1)'), -1) }}
{%- endmacro %}

{#- Number of the quarter of an hour since 1970 in which a UTC timestamp lies: the key of the calendar. -#}
{% macro tick_number(utc_timestamp) -%}
    {{ adapter.dispatch('tick_number')(utc_timestamp) }}
{%- endmacro %}

{% macro duckdb__tick_number(utc_timestamp) -%}
    cast(epoch_us({{ utc_timestamp }}) // 900000000 as integer)
{%- endmacro %}

{% macro spark__tick_number(utc_timestamp) -%}
    cast(unix_timestamp({{ utc_timestamp }}) div 900 as int)
{%- endmacro %}

{#- UTC timestamp at which a quarter of an hour starts. -#}
{% macro tick_start(tick_number) -%}
    {{ adapter.dispatch('tick_start')(tick_number) }}
{%- endmacro %}

{% macro duckdb__tick_start(tick_number) -%}
    make_timestamp(cast({{ tick_number }} as bigint) * 900000000)
{%- endmacro %}

{% macro spark__tick_start(tick_number) -%}
    cast(timestamp_seconds(cast({{ tick_number }} as bigint) * 900) as timestamp_ntz)
{%- endmacro %}

{#- Monday is 1, Sunday is 7. -#}
{% macro iso_weekday(local_date) -%}
    {{ adapter.dispatch('iso_weekday')(local_date) }}
{%- endmacro %}

{% macro duckdb__iso_weekday(local_date) -%}
    cast(isodow({{ local_date }}) as integer)
{%- endmacro %}

{% macro spark__iso_weekday(local_date) -%}
    cast(weekday({{ local_date }}) + 1 as int)
{%- endmacro %}

{#- Days from the due date to full payment, or to the as-of date while a bill is unpaid; a bill paid in time counts 0. -#}
{% macro days_late(due_date, fully_paid_date, as_of_date) -%}
    greatest({{ datediff(due_date, 'coalesce(' ~ fully_paid_date ~ ', ' ~ as_of_date ~ ')', 'day') }}, 0)
{%- endmacro %}

{#- Season of a month: summer is June to August, winter December to February, mild the rest. -#}
{% macro season_of(month_number) -%}
    case
        when mod({{ month_number }}, 12) in (5, 6, 7) then 'summer'
        when mod({{ month_number }}, 12) in (11, 0, 1) then 'winter'
        else 'mild'
    end
{%- endmacro %}

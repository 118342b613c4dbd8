{#- Wall-clock time in the local zone of a UTC timestamp. Costs a zone look-up per row: never use it on readings. -#}
{% macro local_timestamp(utc_timestamp) -%}
    {{ adapter.dispatch('local_timestamp')(utc_timestamp) }}
{%- endmacro %}

{% macro duckdb__local_timestamp(utc_timestamp) -%}
    (({{ utc_timestamp }} at time zone 'UTC') at time zone '{{ var("time_zone") }}')
{%- endmacro %}

{% macro spark__local_timestamp(utc_timestamp) -%}
    cast(from_utc_timestamp({{ utc_timestamp }}, '{{ var("time_zone") }}') as timestamp_ntz)
{%- endmacro %}

{#- UTC timestamp of a wall-clock time in the local zone. -#}
{% macro utc_timestamp(local_timestamp) -%}
    {{ adapter.dispatch('utc_timestamp')(local_timestamp) }}
{%- endmacro %}

{% macro duckdb__utc_timestamp(local_timestamp) -%}
    ((cast({{ local_timestamp }} as timestamp) at time zone '{{ var("time_zone") }}') at time zone 'UTC')
{%- endmacro %}

{% macro spark__utc_timestamp(local_timestamp) -%}
    cast(to_utc_timestamp({{ local_timestamp }}, '{{ var("time_zone") }}') as timestamp_ntz)
{%- endmacro %}

{#-
    dbt-spark's own arithmetic of dates goes through Unix time, which loses the fraction of a second and costs several
    function calls per row. These take the place of `dateadd` and `datediff` on Spark; the parts that no model needs are
    refused.
-#}
{% macro spark__dateadd(datepart, interval, from_date_or_timestamp) -%}
    {%- if datepart != 'day' -%}
        {%- do exceptions.raise_compiler_error("dateadd of '" ~ datepart ~ "' is not written for Spark; see macros/spark/dates.sql") -%}
    {%- endif -%}
    (cast({{ from_date_or_timestamp }} as timestamp_ntz) + make_dt_interval({{ interval }}))
{%- endmacro %}

{#- Days between two dates, or boundaries of seconds between two timestamps, as DuckDB counts them. -#}
{% macro spark__datediff(first_date, second_date, datepart) -%}
    {%- if datepart == 'day' -%}
    cast(datediff({{ second_date }}, {{ first_date }}) as bigint)
    {%- elif datepart == 'second' -%}
    (unix_timestamp({{ second_date }}) - unix_timestamp({{ first_date }}))
    {%- else -%}
        {%- do exceptions.raise_compiler_error("datediff of '" ~ datepart ~ "' is not written for Spark; see macros/spark/dates.sql") -%}
    {%- endif -%}
{%- endmacro %}

{#- Every timestamp of ours is without zone; Spark's `timestamp` is one only where the session says so. -#}
{% macro spark__type_timestamp() -%}
    timestamp_ntz
{%- endmacro %}

{#-
    Which local months of readings a model still has to compute.

    A relation such as `int_reading_months` gives every local month a fingerprint of the deliveries and settings behind
    it. An incremental model notes, in the transaction that writes its rows, the fingerprint that it computed each month
    from (post-hook `note_processed_months`). A month is pending while the two differ: after a new or late delivery, a
    changed setting, a changed model, or a run that was killed.
-#}

{% macro processed_months_relation() -%}
    {{ return(api.Relation.create(database=target.database, schema='intermediate', identifier='processed_months')) }}
{%- endmacro %}

{#- Month numbers that the calling model has to compute in this run, oldest first. -#}
{% macro pending_months(months) -%}
    {%- if not execute or load_relation(months) is none -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set noted = load_relation(processed_months_relation()) -%}
    {%- set query -%}
        select distinct months.month_number
        from {{ months }} as months
        {%- if is_incremental() and noted is not none %}
        where not exists (
            select 1
            from {{ noted }} as noted
            where
                noted.model_name = '{{ this.identifier }}'
                and noted.model_fingerprint = '{{ local_md5(model.raw_code) }}'
                and noted.month_number = months.month_number
                and noted.fingerprint = months.fingerprint
        )
        {%- endif %}
        order by 1
    {%- endset -%}
    {{ return(run_query(query).columns[0].values() | map('int') | list) }}
{%- endmacro %}

{#- Post-hook: every month of `months` is now computed from its present fingerprint. -#}
{% macro note_processed_months(months) -%}
    {{ adapter.dispatch('note_processed_months')(months) }}
{%- endmacro %}

{% macro duckdb__note_processed_months(months) -%}
    create table if not exists {{ processed_months_relation() }} (
        model_name varchar, model_fingerprint varchar, month_number integer, fingerprint varchar
    );
    delete from {{ processed_months_relation() }} where model_name = '{{ this.identifier }}';
    insert into {{ processed_months_relation() }}
    select distinct '{{ this.identifier }}', '{{ local_md5(model.raw_code) }}', month_number, fingerprint
    from {{ months }};
{%- endmacro %}

{#- List of integers for an `in` condition; no row meets the condition when the list is empty. -#}
{% macro integer_list(integers) -%}
    ({{ integers | join(', ') if integers else '-1' }})
{%- endmacro %}

{#- UTC months (partitions of the readings) that hold readings of the given local months. -#}
{% macro read_months(reading_months, months) -%}
    {%- if not execute or not months -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set query -%}
        select distinct read_month
        from {{ reading_months }}
        where month_number in {{ integer_list(months) }}
        order by read_month
    {%- endset -%}
    {{ return(run_query(query).columns[0].values() | map('string') | list) }}
{%- endmacro %}

{#- List of dates for an `in` condition; no row meets the condition when the list is empty. -#}
{% macro date_list(dates) -%}
    (
    {%- for day in dates or ['0001-01-01'] -%}
        date '{{ day }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
    )
{%- endmacro %}

{#- Rows of a relation at compile time; 0 while it does not exist. -#}
{% macro row_count(relation) -%}
    {%- if not execute or load_relation(relation) is none -%}
        {{ return(0) }}
    {%- endif -%}
    {{ return(run_query('select count(*) from ' ~ relation).columns[0].values()[0] | int) }}
{%- endmacro %}

{#-
    First as-of month in which a reading counts. The calendar answers; only instants outside it, such as a delivery
    dated years off, pay for the zone arithmetic.
-#}
{% macro visible_month_of_reading(known_month_number_of_tick, known_at, month_number) -%}
    greatest(
        {{ month_number }},
        coalesce({{ known_month_number_of_tick }}, {{ known_month_number(known_at) }})
    )
{%- endmacro %}

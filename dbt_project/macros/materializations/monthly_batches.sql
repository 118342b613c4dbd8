{#-
    Materialization for what is computed from interval readings, month by month.

    `months_from` names a model that gives every local month (month_number) a fingerprint of the deliveries and settings
    behind it. The fingerprint from which a month was computed is noted in `intermediate.processed_months` in the
    transaction that writes the month's rows. A month is pending while the two differ: after a new or late delivery, a
    changed calendar, or a run that was killed. Months that are not pending are not read at all. When the SQL itself has
    changed, by a new version or a setting, the table is made anew.

    Spark knows no transactions. There the table has one partition per month; the notes of a batch are removed before its
    partitions are, and written after its rows. So whenever a run is killed, a month whose rows are not all there has no
    note and is pending.

    Pending months are computed in batches that fit into memory: one statement over 36 million readings spills and takes
    six times as long as eight statements over three months each.

    A model uses `batch_months()` and `batch_read_months()` as the right side of an `in` condition, and says what it
    waits for: `-- depends_on: ref(<months_from>)`.
-#}
{% materialization monthly_batches, default, supported_languages=['sql'] %}

    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set months_relation = ref(config.require('months_from')) -%}
    {%- set model_fingerprint = fingerprint_of_code(compiled_code) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- do statement_in_transaction(create_processed_months()) -%}
    {%- set rebuild = (
        existing_relation is none
        or existing_relation.is_view
        or should_full_refresh()
        or is_from_other_code(this.identifier, model_fingerprint)
    ) -%}
    {% if rebuild %}
        {% if existing_relation is not none %}
            {% do adapter.drop_relation(existing_relation) %}
        {% endif %}
        {% do statement_in_transaction(forget_processed_months(this.identifier)) %}
        {% do statement_in_transaction(create_without_months(target_relation, sql_of_batch(compiled_code, [], []))) %}
    {% endif %}
    {% do commit_months() %}

    {%- set batches = batches_of_months(months_relation, this.identifier) -%}
    {% for batch in batches %}
        {%- set batch_sql = sql_of_batch(compiled_code, batch, read_months(months_relation, batch)) -%}
        {% do begin_months(target_relation, this.identifier, batch) %}
        {% do statement_in_transaction(replace_months(target_relation, batch, batch_sql)) %}
        {% do statement_in_transaction(
            note_processed_months(months_relation, this.identifier, model_fingerprint, batch)
        ) %}
        {% do commit_months() %}
    {% endfor %}

    {% call noop_statement('main', 'OK, ' ~ (batches | sum(start=[]) | length) ~ ' months') %}
        {{ sql_of_batch(compiled_code, [], []) }}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do commit_months() %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}

{% endmaterialization %}

{#- Changes with the SQL of the model, settings and macros included, and with the code of the models that it reads. -#}
{% macro fingerprint_of_code(compiled_code) -%}
    {%- set codes = [compiled_code] -%}
    {%- for parent in model.depends_on.nodes | sort if parent in graph.nodes -%}
        {%- do codes.append(graph.nodes[parent].raw_code) -%}
    {%- endfor -%}
    {{ return(local_md5(codes | join('|'))) }}
{%- endmacro %}

{#- Local months of the batch that is being computed. -#}
{% macro batch_months() -%}
    (__batch_months__)
{%- endmacro %}

{#- UTC months, which are the partitions of the readings, that hold the local months of the batch. -#}
{% macro batch_read_months() -%}
    (__batch_read_months__)
{%- endmacro %}

{% macro sql_of_batch(sql, months, read_months) -%}
    {%- set dates = [] -%}
    {%- for month in read_months or ['0001-01-01'] -%}{%- do dates.append("date '" ~ month ~ "'") -%}{%- endfor -%}
    {{ return(
        sql
        | replace('__batch_months__', (months or [-1]) | join(', '))
        | replace('__batch_read_months__', dates | join(', '))
    ) }}
{%- endmacro %}

{% macro statement_in_transaction(sql) -%}
    {%- call statement(auto_begin=True) -%}
        {{ sql }}
    {%- endcall -%}
{%- endmacro %}

{#- Makes what was done so far last. -#}
{% macro commit_months() -%}
    {{ adapter.dispatch('commit_months')() }}
{%- endmacro %}

{% macro default__commit_months() -%}
    {%- do adapter.commit() -%}
{%- endmacro %}

{% macro spark__commit_months() -%}
{%- endmacro %}

{#- The column by which a table is divided into months. -#}
{% macro months_partition() -%}
    {{ return(config.get('month_column', 'month_number')) }}
{%- endmacro %}

{#- The table, without a month yet. -#}
{% macro create_without_months(relation, sql) -%}
    {{ adapter.dispatch('create_without_months')(relation, sql) }}
{%- endmacro %}

{% macro default__create_without_months(relation, sql) -%}
    {{ create_table_as(False, relation, sql) }}
{%- endmacro %}

{% macro spark__create_without_months(relation, sql) -%}
    create table {{ relation }} using parquet partitioned by ({{ months_partition() }}) as
    {% if config.get('contract').enforced -%}
    {{ get_assert_columns_equivalent(sql) }}
    {{ get_select_subquery(sql) }}
    {%- else -%}
    {{ sql }}
    {%- endif %}
{%- endmacro %}

{#- Before the rows of some months are replaced. -#}
{% macro begin_months(relation, model_name, months) -%}
    {{ adapter.dispatch('begin_months')(relation, model_name, months) }}
{%- endmacro %}

{#- A transaction needs no beginning of its own. -#}
{% macro default__begin_months(relation, model_name, months) -%}
{%- endmacro %}

{#- Overwriting would leave a month that has no rows any more as it was. -#}
{% macro spark__begin_months(relation, model_name, months) -%}
    {%- do statement_in_transaction(forget_processed_months(model_name, months)) -%}
    {%- set partitions = [] -%}
    {%- for month in months -%}
        {%- set first_day = "date '%04d-%02d-01'" | format(month // 12, month % 12 + 1) -%}
        {%- do partitions.append(
            'partition (' ~ months_partition() ~ ' = ' ~ (first_day if config.get('month_column') else month) ~ ')'
        ) -%}
    {%- endfor -%}
    {%- do statement_in_transaction('alter table ' ~ relation ~ ' drop if exists ' ~ partitions | join(', ')) -%}
{%- endmacro %}

{% macro processed_months() -%}
    {{ return(this.incorporate(path={'schema': 'intermediate', 'identifier': 'processed_months'}, type='table')) }}
{%- endmacro %}

{#- Whether the table was made by other SQL, and so may lack a column or mean something else. -#}
{% macro is_from_other_code(model_name, model_fingerprint) -%}
    {{ return(run_query(
        "select count(*) from " ~ processed_months() ~ " where model_name = '" ~ model_name ~ "'"
        ~ " and model_fingerprint <> '" ~ model_fingerprint ~ "'"
    ).columns[0].values()[0] > 0) }}
{%- endmacro %}

{#- Pending months, oldest first, in lists of at most `batch_customer_months` customer-months. -#}
{% macro batches_of_months(months_relation, model_name) -%}
    {%- set pending = run_query(
        "select months.month_number, max(months.customers_count) as customers_count from " ~ months_relation ~ " as months"
        ~ " where not exists (select 1 from " ~ processed_months() ~ " as processed"
        ~ " where processed.model_name = '" ~ model_name ~ "'"
        ~ " and processed.month_number = months.month_number and processed.fingerprint = months.fingerprint)"
        ~ " group by months.month_number order by months.month_number"
    ) -%}
    {%- set batches = [] -%}
    {%- if pending.rows | length -%}
        {%- set months = pending.columns[0].values() | map('int') | list -%}
        {%- set customers_count = [pending.columns[1].values() | map('int') | max, 1] | max -%}
        {%- set batch_length = [var('batch_customer_months') // customers_count, 1] | max -%}
        {%- for batch in months | batch(batch_length) -%}{%- do batches.append(batch) -%}{%- endfor -%}
    {%- endif -%}
    {{ return(batches) }}
{%- endmacro %}

{#- Partitions of the readings that hold the given local months; empty for relations that do not know them. -#}
{% macro read_months(months_relation, months) -%}
    {%- if 'read_month' not in adapter.get_columns_in_relation(months_relation) | map(attribute='name') -%}
        {{ return([]) }}
    {%- endif -%}
    {{ return(run_query(
        "select distinct read_month from " ~ months_relation
        ~ " where month_number in (" ~ months | join(', ') ~ ") order by read_month"
    ).columns[0].values() | map('string') | list) }}
{%- endmacro %}

{% macro create_processed_months() -%}
    {{ adapter.dispatch('create_processed_months')() }}
{%- endmacro %}

{% macro default__create_processed_months() -%}
    create table if not exists {{ processed_months() }} (
        model_name {{ type_string() }},
        model_fingerprint {{ type_string() }},
        month_number {{ type_int() }},
        fingerprint {{ type_string() }}
    )
{%- endmacro %}

{#- Columns of the partition last, as Spark orders them anyway. -#}
{% macro spark__create_processed_months() -%}
    create table if not exists {{ processed_months() }} (
        model_fingerprint {{ type_string() }},
        fingerprint {{ type_string() }},
        model_name {{ type_string() }},
        month_number {{ type_int() }}
    )
    using parquet
    partitioned by (model_name, month_number)
{%- endmacro %}

{% macro forget_processed_months(model_name, months=none) -%}
    {{ adapter.dispatch('forget_processed_months')(model_name, months) }}
{%- endmacro %}

{% macro default__forget_processed_months(model_name, months) -%}
    delete from {{ processed_months() }}
    where
        model_name = '{{ model_name }}'
        {%- if months is not none %}
        and month_number in ({{ months | join(', ') }})
        {%- endif %}
{%- endmacro %}

{% macro spark__forget_processed_months(model_name, months) -%}
    {%- set partitions = [] -%}
    {%- for month in months or [] -%}
        {%- do partitions.append("partition (model_name = '" ~ model_name ~ "', month_number = " ~ month ~ ")") -%}
    {%- endfor -%}
    {%- if months is none -%}{%- do partitions.append("partition (model_name = '" ~ model_name ~ "')") -%}{%- endif -%}
    alter table {{ processed_months() }} drop if exists {{ partitions | join(', ') }}
{%- endmacro %}

{% macro note_processed_months(months_relation, model_name, model_fingerprint, months) -%}
    {{ adapter.dispatch('note_processed_months')(months_relation, model_name, model_fingerprint, months) }}
{%- endmacro %}

{% macro default__note_processed_months(months_relation, model_name, model_fingerprint, months) -%}
    {{ forget_processed_months(model_name, months) }};
    insert into {{ processed_months() }}
    select distinct '{{ model_name }}', '{{ model_fingerprint }}', month_number, fingerprint
    from {{ months_relation }}
    where month_number in ({{ months | join(', ') }})
{%- endmacro %}

{% macro spark__note_processed_months(months_relation, model_name, model_fingerprint, months) -%}
    insert overwrite table {{ processed_months() }} partition (model_name, month_number)
    select distinct '{{ model_fingerprint }}', fingerprint, '{{ model_name }}', month_number
    from {{ months_relation }}
    where month_number in ({{ months | join(', ') }})
{%- endmacro %}

{#- Replaces the rows of some months. -#}
{% macro replace_months(relation, months, sql) -%}
    {{ adapter.dispatch('replace_months')(relation, months, sql) }}
{%- endmacro %}

{% macro default__replace_months(relation, months, sql) -%}
    {%- set columns = adapter.get_columns_in_relation(relation) | map(attribute='quoted') | join(', ') -%}
    delete from {{ relation }}
    where {{ month_number(config.get('month_column')) if config.get('month_column') else 'month_number' }}
        in ({{ months | join(', ') }});
    insert into {{ relation }} ({{ columns }})
    select {{ columns }} from (
        {{ sql }}
    ) as batch
{%- endmacro %}

{#- One file or more per month: without the hint every task would write a file into each month. -#}
{% macro spark__replace_months(relation, months, sql) -%}
    {%- set names = adapter.get_columns_in_relation(relation) | map(attribute='name') | list -%}
    {%- set columns = (names | reject('equalto', months_partition()) | list) + [months_partition()] -%}
    insert overwrite table {{ relation }} partition ({{ months_partition() }})
    select /*+ rebalance({{ months_partition() }}) */ {{ columns | join(', ') }} from (
        {{ sql }}
    ) as batch
{%- endmacro %}

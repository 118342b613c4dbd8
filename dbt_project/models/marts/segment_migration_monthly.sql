with segments as (

    select * from {{ ref('stg_predictions__segments') }}

),

monthly_load as (

    select * from {{ ref('customer_monthly_load') }}

),

-- A month can be compared when the month before was scored as well.
compared_months as (

    select distinct later.as_of_month_number
    from segments as later
    inner join segments as earlier
        on later.as_of_month_number = earlier.as_of_month_number + 1

),

-- Every customer of a month by the month in which its row is told: its own, and the next one as "the month before".
now_and_before as (

    select
        as_of_month_number,
        customer_key,
        segment_id as to_segment_id,
        release as to_release,
        cast(null as {{ type_string() }}) as from_segment_id,
        cast(null as {{ type_string() }}) as from_release
    from segments
    union all
    select
        as_of_month_number + 1 as as_of_month_number,
        customer_key,
        cast(null as {{ type_string() }}) as to_segment_id,
        cast(null as {{ type_string() }}) as to_release,
        segment_id as from_segment_id,
        release as from_release
    from segments

),

moves as (

    select
        now_and_before.as_of_month_number,
        now_and_before.customer_key,
        coalesce(max(now_and_before.from_segment_id), 'new') as from_segment_id,
        coalesce(max(now_and_before.to_segment_id), 'lost') as to_segment_id,
        coalesce(max(now_and_before.from_release) = max(now_and_before.to_release), true) as is_same_release
    from now_and_before
    inner join compared_months
        on now_and_before.as_of_month_number = compared_months.as_of_month_number
    group by now_and_before.as_of_month_number, now_and_before.customer_key

),

moves_with_energy as (

    select
        moves.*,
        case
            when substr(moves.to_segment_id, 1, 1) = 'R' then 'residential'
            when substr(moves.to_segment_id, 1, 1) = 'B' then 'business'
            when substr(moves.from_segment_id, 1, 1) = 'R' then 'residential'
            when substr(moves.from_segment_id, 1, 1) = 'B' then 'business'
            else 'unknown'
        end as customer_group,
        coalesce(monthly_load.kwh, 0) as kwh
    from moves
    -- What a lost customer used stands in the last month in which they were one.
    left join monthly_load
        on
            moves.customer_key = monthly_load.customer_key
            and monthly_load.month = {{ month_start(
                "(moves.as_of_month_number - case when moves.to_segment_id = 'lost' then 1 else 0 end)"
            ) }}

),

flows as (

    select
        as_of_month_number,
        customer_group,
        from_segment_id,
        to_segment_id,
        count(*) as customers_count,
        sum(cast(kwh as decimal(18, 4))) as kwh,
        sum(case when is_same_release then 0 else 1 end) as other_release_count
    from moves_with_energy
    group by as_of_month_number, customer_group, from_segment_id, to_segment_id

),

final as (

    select
        cast({{ month_start('as_of_month_number') }} as date) as as_of_month,
        customer_group,
        from_segment_id,
        to_segment_id,
        cast(customers_count as integer) as customers_count,
        cast(customers_count as double) / sum(customers_count) over (
            partition by as_of_month_number, customer_group, from_segment_id
        ) as share,
        cast(kwh as decimal(18, 4)) as kwh,
        other_release_count = 0 as is_same_release
    from flows

)

select * from final
